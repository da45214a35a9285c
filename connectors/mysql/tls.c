/*
 * tls.c - TLS sessions of which no certificate is to be verified, without the system's list of
 * authorities.
 *
 * libmariadb makes an SSL_CTX for each connection. Unless it is given a file or a folder of
 * certificates it loads the system's bundle into it, also where nothing is verified, and parsing
 * that takes OpenSSL 3 60 to 100 ms each time (measured): most of a start. A folder that is not
 * there costs nothing; but with one the library verifies, and nothing would be good enough.
 *
 * So OpenSSL is asked to tell of each SSL_CTX that is made (CRYPTO_EX_new), and one that is made
 * between mys_tls_begin and mys_tls_end, by the same thread, gets a verification that finds nothing
 * wrong: what the library itself does where it has neither file nor folder (SSL_VERIFY_NONE). A
 * fingerprint is compared by the library all the same.
 *
 * Where this does not take hold, because the library was built with another TLS, the session is
 * refused: never less is verified than was asked for. mys_tls_end tells that, once, and from
 * then on connections are made as if this file were not here.
 */
#include "mysql.h"

#include <mariadb/errmsg.h>
#include <openssl/ssl.h>

#define NO_FOLDER "/nonexistent"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool usable;

static _Thread_local struct {
    bool on, seen;
} here;

static int nothing_wrong(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

/* `made` is the SSL_CTX. */
static void on_new(void *made, void *ptr, CRYPTO_EX_DATA *data, int idx, long argl, void *argp)
{
    (void)ptr, (void)data, (void)idx, (void)argl, (void)argp;
    if (!here.on)
        return;
    SSL_CTX_set_cert_verify_callback(made, nothing_wrong, NULL);
    here.seen = true;
}

static void ask_openssl(void)
{
    atomic_store(&usable, SSL_CTX_get_ex_new_index(0, NULL, on_new, NULL, NULL) >= 0);
}

static bool verifies(const struct mys_server *srv)
{
    return srv->tls == MYS_TLS_VERIFY || srv->ca;
}

void mys_tls_begin(MYSQL *conn, const struct mys_server *srv)
{
    pthread_once(&once, ask_openssl);
    if (verifies(srv) || !atomic_load(&usable))
        return;
    here.on = mysql_optionsv(conn, MYSQL_OPT_SSL_CAPATH, NO_FOLDER) == 0;
    here.seen = false;
}

bool mys_tls_end(MYSQL *conn)
{
    bool missed = here.on && !here.seen && mysql_errno(conn) == CR_SSL_CONNECTION_ERROR;
    here.on = false;
    if (missed)
        atomic_store(&usable, false);
    return missed;
}
