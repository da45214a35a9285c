/*
 * produce.c - a bare producer of librdkafka: what a transaction costs without a sidecar around it.
 *
 *     produce BROKERS TOPIC PARTITIONS ROWS KEY_BYTES VALUE_BYTES [ID CONTROL INTERVAL_MS [RATE]]
 *
 * Connects, prints "ready VERSION", waits for a line, produces, and prints "done SECONDS
 * CPU_SECONDS RESIDENT_KIB". With ID in transactions, each ended by a record in topic CONTROL and
 * told as "commit WALL_CLOCK_US US"; US is from that record to the end of the commit. At full rate
 * a commit is due INTERVAL_MS after the last one began; with RATE (rows per second), when no row is
 * due and the last one ended INTERVAL_MS ago, which is how the sidecar does it.
 *
 * As bare as it can be while its memory is bounded as the sidecar's is: messages lie in 8 MiB of
 * slots and are not copied by librdkafka; the bytes are those of one value, the clock in front.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define QUEUE_BYTES (8 << 20)
#define MSG_COST    256 /* of librdkafka's own, as the sidecar reckons */
#define SERVE_EVERY 256
#define TICK_NS     500000

struct slot {
    struct slot *next;
    char bytes[]; /* value, key */
};

struct bare {
    const char *brokers, *topic, *id, *control_name;
    int32_t partitions;
    int64_t rows, rate, interval_us;
    size_t key, value;
    rd_kafka_t *rk;
    rd_kafka_topic_t *rkt, *control;
    struct slot *free;
    bool open;
    int64_t last_us; /* of the last commit: begun at full rate, else ended */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "produce: %s: %s\n", what, why);
    exit(1);
}

static void must(rd_kafka_error_t *error, const char *what)
{
    if (error)
        die(what, rd_kafka_error_string(error));
}

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

/* ---- connecting ---- */

static void report_cb(rd_kafka_t *rk, const rd_kafka_message_t *report, void *opaque)
{
    struct bare *b = opaque;
    struct slot *slot = report->_private;
    (void)rk;
    if (report->err)
        die("a record was not taken", rd_kafka_err2str(report->err));
    if (!slot) /* of the control topic */
        return;
    slot->next = b->free;
    b->free = slot;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        die(name, text);
}

/* As connectors/kafka/conf.c has it. */
static rd_kafka_t *producer(struct bare *b)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", b->brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "5");
    set(conf, "socket.nagle.disable", "true");
    set(conf, "queue.buffering.max.kbytes", "2097151");
    set(conf, "queue.buffering.max.messages", "10000000");
    if (b->id)
        set(conf, "transactional.id", b->id);
    rd_kafka_conf_set_dr_msg_cb(conf, report_cb);
    rd_kafka_conf_set_opaque(conf, b);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!rk)
        die("librdkafka", text);
    return rk;
}

static rd_kafka_topic_t *topic(struct bare *b, const char *name)
{
    const struct rd_kafka_metadata *found;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(b->rk, name, NULL);
    if (!rkt)
        die(name, "no such topic can be");
    rd_kafka_resp_err_t err = rd_kafka_metadata(b->rk, 0, rkt, &found, 10000);
    if (err)
        die(name, rd_kafka_err2str(err));
    rd_kafka_metadata_destroy(found);
    return rkt;
}

static void lay_slots(struct bare *b)
{
    size_t bytes = b->key + b->value, n = QUEUE_BYTES / (bytes + MSG_COST);
    for (size_t i = 0; i < n; i++) {
        struct slot *slot = malloc(sizeof *slot + bytes);
        if (!slot)
            die("slots", "no memory");
        memset(slot->bytes, 'a' + (int)(i % 26), bytes);
        slot->next = b->free;
        b->free = slot;
    }
}

static void connect_all(struct bare *b)
{
    b->rk = producer(b);
    if (b->id)
        must(rd_kafka_init_transactions(b->rk, 30000), "init_transactions");
    b->rkt = topic(b, b->topic);
    if (b->id)
        b->control = topic(b, b->control_name);
    lay_slots(b);
}

/* ---- producing ---- */

/* A slot that is free; flush is what makes partial batches go out before linger.ms. */
static struct slot *take_slot(struct bare *b)
{
    while (!b->free)
        if (rd_kafka_poll(b->rk, 0) == 0)
            (void)rd_kafka_flush(b->rk, 1);
    struct slot *slot = b->free;
    b->free = slot->next;
    return slot;
}

/* due: what the record says of when it was there to be sent (wall clock). */
static void produce(struct bare *b, int64_t n, int64_t due)
{
    if (b->id && !b->open) {
        must(rd_kafka_begin_transaction(b->rk), "begin");
        b->open = true;
    }
    struct slot *slot = take_slot(b);
    memcpy(slot->bytes, &due, sizeof due);
    memcpy(slot->bytes + b->value, &n, b->key < sizeof n ? b->key : sizeof n);
    /* Spread as a hash would. */
    int32_t partition = (int32_t)((uint64_t)n * 0x9E3779B97F4A7C15u >> 33) % b->partitions;
    if (rd_kafka_produce(b->rkt, partition, 0, slot->bytes, b->value, slot->bytes + b->value,
                         b->key, slot))
        die("produce", rd_kafka_err2str(rd_kafka_last_error()));
    if (n % SERVE_EVERY == 0)
        rd_kafka_poll(b->rk, 0);
}

static void commit(struct bare *b)
{
    static char end[] =
        "{\"instance\":\"0123456789abcdef\",\"txn\":1234,\"v\":{\"at\":1,\"rows\":2}}";
    static char key[] = "kafka/end";
    int64_t began = now_us();
    if (rd_kafka_produce(b->control, 0, 0, end, sizeof end - 1, key, sizeof key - 1, NULL))
        die("produce", rd_kafka_err2str(rd_kafka_last_error()));
    (void)rd_kafka_flush(b->rk, 30000);
    must(rd_kafka_commit_transaction(b->rk, 30000), "commit");
    int64_t ended = now_us();
    printf("commit %lld %lld\n", (long long)clock_us(CLOCK_REALTIME), (long long)(ended - began));
    b->last_us = b->rate ? ended : began;
    b->open = false;
}

static void run_fast(struct bare *b)
{
    for (int64_t n = 1; n <= b->rows; n++) {
        produce(b, n, clock_us(CLOCK_REALTIME));
        if (b->id && n % SERVE_EVERY == 0 && now_us() - b->last_us >= b->interval_us)
            commit(b);
    }
}

/* A record that is due while a commit runs waits, as a row of a source does. */
static void run_paced(struct bare *b)
{
    int64_t wall = clock_us(CLOCK_REALTIME), began = now_us(), n = 0;
    while (n < b->rows) {
        int64_t due = (now_us() - began) * b->rate / 1000000;
        while (n < due && n < b->rows)
            n++, produce(b, n, wall + n * 1000000 / b->rate);
        if (b->open && now_us() - b->last_us >= b->interval_us)
            commit(b);
        rd_kafka_poll(b->rk, 0);
        nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
    }
}

static void run(struct bare *b)
{
    char line[16];
    printf("ready %s\n", rd_kafka_version_str());
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        die("stdin", "ended");
    int64_t began = now_us();
    b->last_us = began;
    if (b->rate)
        run_paced(b);
    else
        run_fast(b);
    if (b->open)
        commit(b);
    while (rd_kafka_flush(b->rk, 1000))
        continue;
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                 (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    printf("done %.6f %.6f %ld\n", (double)(now_us() - began) / 1e6, cpu, use.ru_maxrss);
}

int main(int argc, char **argv)
{
    if (argc != 7 && argc != 10 && argc != 11)
        die("arguments", "see the head of bench/produce.c");
    struct bare b = {.brokers = argv[1],
                     .topic = argv[2],
                     .partitions = (int32_t)atoi(argv[3]),
                     .rows = atoll(argv[4]),
                     .key = (size_t)atoi(argv[5]),
                     .value = (size_t)atoi(argv[6])};
    if (b.value < sizeof(int64_t) || b.partitions < 1)
        die("arguments", "a value has 8 bytes or more, a topic a partition or more");
    if (argc > 7) {
        b.id = argv[7];
        b.control_name = argv[8];
        b.interval_us = atoll(argv[9]) * 1000;
        b.rate = argc > 10 ? atoll(argv[10]) : 0;
    }
    connect_all(&b);
    run(&b);
    return 0; /* what is left ends with the process: nothing is in flight */
}
