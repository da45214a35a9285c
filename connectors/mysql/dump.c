/*
 * dump.c - the log's packets, from a connection of their own.
 *
 *   server ──▶ reader thread: mysql_net_read_packet ──▶ ring (ring.c) ──▶ mys_dump_next
 *
 * The library can only read blocking, and has a buffer that poll() does not see; so a thread reads,
 * and the source thread waits for the ring with its own deadline. The connection is the reader's
 * from its start to its end. It is ended by shutting a copy of the socket down: the library closes
 * its own descriptor at errors, whose number may then be somebody else's.
 *
 * What is asked of the server: to go on behind the GTIDs that we have (MySQL COM_BINLOG_DUMP_GTID;
 * MariaDB a user variable, then COM_BINLOG_DUMP at the first byte of no file), or from file:pos.
 * User variables tell it our uuid, by which it ends a dump that we have lost, and how often to say
 * that it is there. Three times that with nothing heard: lost. All errors but those of the
 * connecting itself come with mys_dump_next, behind the last event.
 *
 * `once`: a second dump, which ends where the log ends now. It has no id and no uuid, else the
 * server would end the first for its sake.
 *
 * An EOF packet while it should go on is how MySQL says that it stops. A file whose last event is
 * torn ends it with an error that only its text tells apart.
 * Protocol: MySQL source, COM_BINLOG_DUMP and COM_BINLOG_DUMP_GTID; MariaDB Knowledge Base,
 * "Replication Protocol".
 */
#include "mysql.h"

#include "ring.h"

#include "cdc/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_BYTES     ((size_t)4 << 20)
#define FIRST_POS      4  /* behind the file's magic */
#define SILENT_BEATS   3  /* heartbeats missed: lost */
#define SEARCH_BEATS   12 /* `once` may have to search long for where to begin */
#define NON_BLOCKING   1
#define TORN_CODE      1236
#define TORN           "truncated in the middle of event"
#define REPLICA_RIGHTS "GRANT REPLICATION SLAVE ON *.* TO the user of source.url"

/* How the reader ended. */
enum end { END_STOPPED, END_EOF, END_SILENT, END_NO_EVENT, END_ERROR };

struct mys_dump {
    MYSQL *conn;
    int fd; /* a copy of its socket */
    bool once;
    int silent_s;
    struct mys_ring *ring;
    pthread_t reader;
    bool reading;
    /* the reader's, until it has finished the ring */
    enum end end;
    unsigned code;
    char text[512];
};

/* ---- the reader ---- */

static enum end read_all(struct mys_dump *dump)
{
    unsigned long len;
    while (errno = 0, (len = mysql_net_read_packet(dump->conn)) != packet_error) {
        const uint8_t *p = dump->conn->net.read_pos;
        if (len > 0 && len < 9 && p[0] == 0xFE)
            return END_EOF;
        if (len < 1 || p[0] != 0)
            return END_NO_EVENT;
        if (mys_ring_put(dump->ring, cdc_slice_of(p + 1, len - 1)) != CDC_OK)
            return END_STOPPED;
    }
    int why = errno;
    dump->code = mysql_errno(dump->conn);
    snprintf(dump->text, sizeof dump->text, "%s", mysql_error(dump->conn));
    return why == ETIMEDOUT ? END_SILENT : END_ERROR;
}

static void *reader_main(void *arg)
{
    struct mys_dump *dump = arg;
    dump->end = read_all(dump);
    mys_ring_finish(dump->ring);
    return NULL;
}

static int start_reader(struct mys_dump *dump, struct cdc_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    dump->fd = fcntl(mysql_get_socket(dump->conn), F_DUPFD_CLOEXEC, 3);
    if (dump->fd < 0)
        return cdc_fail(err, CDC_FATAL, "mysql",
                        "no descriptor is left (errno %d); raise `ulimit "
                        "-n`",
                        errno);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    dump->reading = pthread_create(&dump->reader, NULL, reader_main, dump) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return dump->reading ? CDC_OK
                         : cdc_fail(err, CDC_FATAL, "mysql",
                                    "no thread could be made; raise the limit of "
                                    "processes");
}

/* ---- what the server is asked ---- */

static int set_session(struct mys_dump *dump, const struct mys_server *srv,
                       const struct mys_facts *facts, const struct mys_dump_start *start,
                       struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF((size_t)64 << 20);
    const char *sum = facts->checksum ? "CRC32" : "NONE";
    unsigned long long beat = (unsigned long long)srv->heartbeat_us * 1000;
    cdc_buf_printf(&sql,
                   "SET @master_binlog_checksum = '%s', @source_binlog_checksum = '%s', "
                   "@master_heartbeat_period = %llu, @source_heartbeat_period = %llu",
                   sum, sum, beat, beat);
    if (!start->once)
        cdc_buf_printf(&sql, ", @slave_uuid = '%s', @replica_uuid = '%s'", srv->uuid, srv->uuid);
    if (facts->mariadb)
        cdc_buf_str(&sql, ", @mariadb_slave_capability = 4, @slave_gtid_strict_mode = 1");
    if (facts->mariadb && start->gtids) {
        cdc_buf_str(&sql, ", @slave_connect_state = '");
        mys_gtids_print(start->gtids, &sql);
        cdc_buf_byte(&sql, '\'');
    }
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? mys_query(dump->conn, text, NULL, err) : cdc_fail_oom(err);
    cdc_buf_done(&sql);
    return rc;
}

static void put_le(struct cdc_buf *buf, uint64_t val, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        cdc_buf_byte(buf, (uint8_t)(val >> (8 * i)));
}

/* flags 2, server 4, name 4+n, position 8, set 4+n */
static enum enum_server_command by_gtids(struct cdc_buf *arg, uint32_t server,
                                         const struct mys_dump_start *start)
{
    struct cdc_buf set = CDC_BUF((size_t)1 << 30);
    put_le(arg, start->once ? NON_BLOCKING : 0, 2);
    put_le(arg, server, 4);
    put_le(arg, 0, 4);
    put_le(arg, FIRST_POS, 8);
    mys_set_encode(&start->gtids->set, &set);
    put_le(arg, set.len, 4);
    cdc_buf_put(arg, set.p, set.len);
    arg->failed |= set.failed;
    cdc_buf_done(&set);
    return (enum enum_server_command)0x1E; /* COM_BINLOG_DUMP_GTID, which the library has not */
}

/* position 4, flags 2, server 4, name */
static enum enum_server_command by_place(struct cdc_buf *arg, uint32_t server,
                                         const struct mys_dump_start *start)
{
    bool place = !start->gtids;
    put_le(arg, place && start->pos > FIRST_POS ? start->pos : FIRST_POS, 4);
    put_le(arg, start->once ? NON_BLOCKING : 0, 2);
    put_le(arg, server, 4);
    cdc_buf_str(arg, place ? start->file : "");
    return COM_BINLOG_DUMP;
}

static int send_command(struct mys_dump *dump, const struct mys_server *srv,
                        const struct mys_facts *facts, const struct mys_dump_start *start,
                        struct cdc_error *err)
{
    if (!start->gtids && start->pos > UINT32_MAX)
        return cdc_fail(err, CDC_OPERATOR, "mysql",
                        "the place in %s to go on from is above 4 GiB, where the server cannot be "
                        "asked to begin; turn GTIDs on (gtid_mode), then an empty sink and a new "
                        "start",
                        start->file);
    struct cdc_buf arg = CDC_BUF((size_t)1 << 30);
    uint32_t server = start->once ? 0 : srv->server_id;
    bool gtids = start->gtids && !facts->mariadb;
    enum enum_server_command what =
        gtids ? by_gtids(&arg, server, start) : by_place(&arg, server, start);
    int rc = CDC_OK;
    if (arg.failed)
        rc = cdc_fail_oom(err);
    else if (dump->conn->methods->db_command(dump->conn, what, (const char *)arg.p, arg.len, 1,
                                             NULL))
        rc = mys_fail(dump->conn, REPLICA_RIGHTS, err);
    cdc_buf_done(&arg);
    return rc;
}

int mys_dump_open(const struct mys_server *srv, const struct mys_facts *facts,
                  const struct mys_dump_start *start, struct mys_dump **ret, struct cdc_error *err)
{
    struct mys_dump *dump = calloc(1, sizeof *dump);
    if (!dump)
        return cdc_fail_oom(err);
    int64_t silent_us = srv->heartbeat_us * (start->once ? SEARCH_BEATS : SILENT_BEATS);
    dump->fd = -1;
    dump->once = start->once;
    dump->silent_s = (int)((silent_us + 999999) / 1000000);
    dump->ring = mys_ring_new(RING_BYTES);
    int rc = dump->ring ? CDC_OK : cdc_fail_oom(err);
    if (rc == CDC_OK)
        rc = mys_connect_within(srv, (unsigned)dump->silent_s, &dump->conn, err);
    if (rc == CDC_OK)
        rc = set_session(dump, srv, facts, start, err);
    if (rc == CDC_OK)
        rc = send_command(dump, srv, facts, start, err);
    if (rc == CDC_OK)
        rc = start_reader(dump, err);
    if (rc == CDC_OK)
        *ret = dump;
    else
        mys_dump_close(dump);
    return rc;
}

/* ---- the source's side ---- */

static int why_ended(const struct mys_dump *dump, struct cdc_error *err)
{
    switch (dump->end) {
    case END_STOPPED:
    case END_EOF:
        if (dump->once)
            return CDC_END;
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "the server has ended the stream: it stops; it is tried again");
    case END_SILENT:
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "nothing was heard from the server for %d s (source.heartbeat): the "
                        "connection counts as lost; it is tried again",
                        dump->silent_s);
    case END_NO_EVENT:
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "the server has sent something that is no event; it is tried again");
    case END_ERROR: break;
    }
    if (dump->code == TORN_CODE && strstr(dump->text, TORN) && !dump->once)
        return CDC_END;
    return mys_fail_code(dump->code, dump->text, REPLICA_RIGHTS, err);
}

int mys_dump_next(struct mys_dump *dump, int64_t deadline_us, struct cdc_slice *ret,
                  struct cdc_error *err)
{
    int rc = mys_ring_take(dump->ring, deadline_us, ret);
    return rc == CDC_END ? why_ended(dump, err) : rc;
}

bool mys_dump_dry(struct mys_dump *dump)
{
    return mys_ring_dry(dump->ring);
}

void mys_dump_wake(struct mys_dump *dump)
{
    mys_ring_wake(dump->ring);
}

void mys_dump_close(struct mys_dump *dump)
{
    if (!dump)
        return;
    if (dump->reading) {
        mys_ring_stop(dump->ring);
        shutdown(dump->fd, SHUT_RDWR);
        pthread_join(dump->reader, NULL);
    }
    if (dump->fd >= 0)
        close(dump->fd);
    if (dump->conn)
        mysql_close(dump->conn);
    mys_ring_free(dump->ring);
    free(dump);
}
