/*
 * binlog_raw.c - what reading costs that does nothing with what it reads: beside this the source is
 * measured (mysql.py).
 *
 *   binlog_raw SOCKET log FILE POS    the packets of the log from there to its end
 *   binlog_raw SOCKET select SQL      the rows of a query, not gathered first
 *
 * As root without a password over the socket. Prints packets or rows, their bytes, seconds, CPU
 * seconds. libmariadb reads from both servers; its own mariadb_rpl_fetch fails on events of MySQL.
 */
#include <mariadb/mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define NON_BLOCK 1 /* the log's end is an end: an EOF packet */
#define OURS      4242

struct got {
    unsigned long long n, bytes;
};

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void die(MYSQL *conn, const char *what)
{
    fprintf(stderr, "binlog_raw: %s: %s\n", what, mysql_error(conn));
    exit(1);
}

static MYSQL *connect_to(const char *socket)
{
    unsigned long most = 1ul << 30;
    MYSQL *conn = mysql_init(NULL);
    if (!conn)
        exit(1);
    mysql_options(conn, MYSQL_OPT_MAX_ALLOWED_PACKET, &most);
    mysql_options(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (!mysql_real_connect(conn, NULL, "root", "", NULL, 0, socket, 0))
        die(conn, "connect");
    return conn;
}

static void put(unsigned char *to, unsigned long value, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

static void read_log(MYSQL *conn, const char *file, const char *pos, struct got *ret)
{
    unsigned char command[512];
    size_t n = strlen(file);
    if (n > 255 || mysql_query(conn, "SET @master_binlog_checksum = @@global.binlog_checksum,"
                                     " @source_binlog_checksum = @@global.binlog_checksum,"
                                     " @mariadb_slave_capability = 4"))
        die(conn, "session");
    put(command, strtoul(pos, NULL, 10), 4);
    put(command + 4, NON_BLOCK, 2);
    put(command + 6, OURS, 4);
    snprintf((char *)command + 10, sizeof command - 10, "%s", file);
    if (conn->methods->db_command(conn, COM_BINLOG_DUMP, (const char *)command, 10 + n, 1, NULL))
        die(conn, "dump");
    for (;;) {
        unsigned long len = mysql_net_read_packet(conn);
        if (len == packet_error)
            die(conn, "packet");
        if (len < 9 && conn->net.read_pos[0] == 0xfe)
            return;
        ret->n++;
        ret->bytes += len - 1;
    }
}

static void read_rows(MYSQL *conn, const char *sql, struct got *ret)
{
    MYSQL_RES *res = mysql_query(conn, sql) ? NULL : mysql_use_result(conn);
    if (!res)
        die(conn, "query");
    unsigned n = mysql_num_fields(res);
    while (mysql_fetch_row(res)) {
        const unsigned long *lengths = mysql_fetch_lengths(res);
        ret->n++;
        for (unsigned i = 0; i < n; i++)
            ret->bytes += lengths[i];
    }
    if (mysql_errno(conn))
        die(conn, "rows");
    mysql_free_result(res);
}

int main(int argc, char **argv)
{
    struct got got = {0};
    if (argc < 4 || (strcmp(argv[2], "log") == 0 && argc < 5)) {
        fputs("binlog_raw SOCKET log FILE POS | SOCKET select SQL\n", stderr);
        return 2;
    }
    MYSQL *conn = connect_to(argv[1]);
    double began = now(), spent = cpu();
    if (strcmp(argv[2], "log") == 0)
        read_log(conn, argv[3], argv[4], &got);
    else
        read_rows(conn, argv[3], &got);
    printf("%llu %llu %.6f %.6f\n", got.n, got.bytes, now() - began, cpu() - spent);
    mysql_close(conn);
    return 0;
}
