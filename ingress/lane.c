/* lane.c - one thread of the listener and the connections that it accepted.
 *
 * libmicrohttpd is driven from outside (no threads of its own): its epoll set
 * is one descriptor in ours, beside a bell for mail from the broker and the
 * sockets of clients that have waited for a while. So a connection, its
 * deadline and its wait belong to one thread, and a batch of commits wakes a
 * lane once, not once for each.
 */
#include <assert.h>
#include <limits.h>
#include <malloc.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/lock.h"
#include "common/mem.h"
#include "ingress/address.h"
#include "ingress/ingress_priv.h"

#define EVENTS_MAX    64
#define HAND_OVER     16  /* submissions at a time: see lane_submit */
#define BUSY_TURNS    32  /* after so many, memory is given back */
#define QUIET_MS      100 /* as soon as nothing happens for so long */
#define SEND_BYTES_MS 16  /* slowest reader: so many bytes in a millisecond */

/* ---- a client ---- */

void
client_set_deadline(struct client *client, mono_ms due)
{
    timers_set(&client->lane->timers, &client->timer, due);
}

void
client_suspend(struct client *client)
{
    MHD_suspend_connection(client->connection);
    client_set_deadline(client, TIMERS_NEVER);
}

void
client_watch(struct client *client)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT,
                                .data.ptr = client};

    assert(!client->is_watched);
    client->is_watched =
        epoll_ctl(client->lane->epoll, EPOLL_CTL_ADD, client->fd, &event) == 0;
}

static void
unwatch(struct client *client)
{
    if (client->is_watched)
        epoll_ctl(client->lane->epoll, EPOLL_CTL_DEL, client->fd, NULL);
    client->is_watched = false;
}

void
client_resume(struct client *client)
{
    assert(client->waiter.state == WAITER_OUT);
    unwatch(client);
    client->phase = PHASE_ANSWERED;
    client_set_deadline(client,
                        client->lane->now +
                            client->lane->ingress->settings->body_timeout);
    MHD_resume_connection(client->connection);
}

static void
client_link(struct client *client)
{
    struct lane *lane = client->lane;

    client->next = lane->clients;
    client->link = &lane->clients;
    if (client->next != NULL)
        client->next->link = &client->next;
    lane->clients = client;
}

static void
client_unlink(struct client *client)
{
    *client->link = client->next;
    if (client->next != NULL)
        client->next->link = client->link;
}

static struct client *
client_new(struct lane *lane, struct MHD_Connection *connection)
{
    struct client *client = mem_new(struct client);
    const union MHD_ConnectionInfo *info;

    client->magic = CLIENT_MAGIC;
    client->lane = lane;
    client->connection = connection;
    info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    client->fd = info->connect_fd;
    address_of_peer(client->fd, client->peer);
    address_of_local(client->fd, client->local);
    buf_init(&client->target, lane->ingress->pool_bytes);
    client_link(client);
    client_set_deadline(client,
                        lane->now + lane->ingress->settings->header_timeout);
    return client;
}

static void
client_free(struct client *client)
{
    assert(client->phase == PHASE_IDLE);
    client->lane->has_room = true;
    timers_remove(&client->lane->timers, &client->timer);
    client_unlink(client);
    receipt_fini(&client->receipt);
    buf_fini(&client->target);
    client->magic = 0;
    free(client);
}

/* ---- what libmicrohttpd calls ---- */

static void
on_connection(void *opaque, struct MHD_Connection *connection, void **context,
              enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *context = client_new(opaque, connection);
    else
        client_free(OBJ_CAST(client, CLIENT_MAGIC, *context));
}

/* The target as it was sent, before libmicrohttpd takes it apart in place. */
static void *
on_target(void *opaque, const char *target, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client =
        OBJ_CAST(client, CLIENT_MAGIC, info->socket_context);

    (void)opaque;
    client->target_at = target;
    buf_clear(&client->target);
    /* Without memory it stays empty, and intake_begin will refuse it. */
    buf_add_text(&client->target, target);
    return client;
}

/* Leaves paths as they were sent. */
static size_t
keep_escapes(void *opaque, struct MHD_Connection *connection, char *text)
{
    (void)opaque;
    (void)connection;
    return strlen(text);
}

static enum MHD_Result
send_answer(struct client *client)
{
    const struct settings *settings = client->lane->ingress->settings;

    client->phase = PHASE_ANSWERED;
    client_set_deadline(client,
                        client->lane->now + settings->body_timeout +
                            (span_ms)client->answer_len / SEND_BYTES_MS);
    enum MHD_Result r = MHD_queue_response(client->connection, client->status,
                                           client->response);
    reply_drop(client);
    return r;
}

/* Called for a request's head, for each piece of its body, at its end, and
 * again after each resume. */
static enum MHD_Result
on_request(void *opaque, struct MHD_Connection *connection, const char *url,
           const char *method, const char *version, const char *at, size_t *len,
           void **context)
{
    struct client *client = OBJ_CAST(client, CLIENT_MAGIC, *context);

    (void)opaque;
    (void)connection;
    (void)url;
    if (client->phase == PHASE_IDLE)
        return intake_begin(client, method, version);
    if (*len > 0) {
        size_t piece = *len;
        *len = 0;
        return intake_body(client, at, piece);
    }
    if (client->is_gone || client->phase == PHASE_REFUSED)
        return MHD_NO;
    if (client->phase == PHASE_BODY && client->response == NULL)
        exchange_start(client);
    return client->response == NULL ? MHD_YES : send_answer(client);
}

static void
on_completed(void *opaque, struct MHD_Connection *connection, void **context,
             enum MHD_RequestTerminationCode code)
{
    struct client *client = OBJ_CAST(client, CLIENT_MAGIC, *context);

    (void)opaque;
    (void)connection;
    (void)code;
    exchange_reset(client);
    buf_clear(&client->target);
    client_set_deadline(client,
                        client->lane->now +
                            client->lane->ingress->settings->header_timeout);
}

/* ---- the broker ---- */

static void
hand_over(struct lane *lane)
{
    struct mail *next, *mail = TAKE(lane->submissions);

    lane->submissions_last = &lane->submissions;
    lane->submissions_len = 0;
    for (; mail != NULL; mail = next) {
        next = mail->next;
        broker_submit(lane->ingress->broker,
                      CONTAINER_OF(mail, struct submission, mail));
    }
}

/* One by one, the broker would wake for the first and commit it alone; all of a
 * turn together would leave it idle meanwhile. */
void
lane_submit(struct lane *lane, struct submission *submission)
{
    submission->mail.next = NULL;
    *lane->submissions_last = &submission->mail;
    lane->submissions_last = &submission->mail.next;
    if (++lane->submissions_len == HAND_OVER)
        hand_over(lane);
}

/* ---- the loop ---- */

static void
ring(void *opaque)
{
    struct lane *lane = opaque;
    const uint64_t one = 1;
    ssize_t n = write(lane->bell, &one, sizeof(one));

    (void)n; /* full means that it rings already */
}

static void
take_mail(struct lane *lane)
{
    struct mail *next, *mail = mailbox_take(&lane->returns);

    for (; mail != NULL; mail = next) {
        struct client *client = CONTAINER_OF(mail, struct client, returned);
        next = mail->next;
        client->on_return(client);
    }
    for (mail = mailbox_take(&lane->answers); mail != NULL; mail = next) {
        struct client *client = CONTAINER_OF(mail, struct client, waiter.mail);
        next = mail->next;
        exchange_on_answer(client);
    }
}

/* A deadline while bytes should move: the other side is too slow. One that has
 * not so much as begun a request gets no answer, for it would take that for the
 * answer to its next one. */
static void
cut_off(struct client *client)
{
    static const struct refusal too_slow = {
        408, "too-slow", "the request did not come in time; send it faster",
        NULL};
    bool in_header = client->phase == PHASE_IDLE && client->target.len > 0;

    if (in_header || (client->phase == PHASE_BODY && client->response == NULL))
        reply_raw(client, &too_slow);
    shutdown(client->fd, SHUT_RDWR);
}

static void
on_deadline(struct client *client)
{
    mono_ms now = client->lane->now;

    if (client->phase != PHASE_WAITING) {
        cut_off(client);
    } else if (now >= client->wait_until) {
        exchange_wait_over(client);
    } else {
        client_watch(client);
        client_set_deadline(client, client->wait_until);
    }
}

static void
fire_timers(struct lane *lane)
{
    struct timer *timer;

    while ((timer = timers_expired(&lane->timers, lane->now)) != NULL)
        on_deadline(CONTAINER_OF(timer, struct client, timer));
}

/* How long epoll may sleep. */
static int
sleep_ms(struct lane *lane)
{
    MHD_UNSIGNED_LONG_LONG limit;
    mono_ms next = timers_next(&lane->timers);

    if (lane->turns >= BUSY_TURNS && next > lane->now + QUIET_MS)
        next = lane->now + QUIET_MS;

    /* Room for a connection is used by libmicrohttpd at its next run only. */
    if (lane->has_room ||
        (MHD_get_timeout(lane->daemon, &limit) == MHD_YES && limit == 0))
        return 0;
    if (next == TIMERS_NEVER)
        return -1;
    if (next <= lane->now)
        return 0;
    return next - lane->now > INT_MAX ? INT_MAX : (int)(next - lane->now);
}

/* Memory of a burst, to the system: malloc by itself keeps all that lies below
 * a piece in use. */
static void
give_back(struct lane *lane)
{
    if (lane->turns >= BUSY_TURNS)
        malloc_trim(0);
    lane->turns = 0;
}

static void
turn(struct lane *lane)
{
    struct epoll_event events[EVENTS_MAX];
    int limit = sleep_ms(lane);
    int n = epoll_wait(lane->epoll, events, EVENTS_MAX, limit);

    if (n == 0 && limit >= QUIET_MS)
        give_back(lane);
    lane->turns++;

    lane->now = clock_mono();
    lane->has_room = false;
    for (int i = 0; i < n; i++) {
        uint64_t count;
        if (events[i].data.ptr == &lane->bell) {
            ssize_t r = read(lane->bell, &count, sizeof(count));
            (void)r;
        } else if (events[i].data.ptr != lane) {
            exchange_hung_up(
                OBJ_CAST(client, CLIENT_MAGIC, events[i].data.ptr));
        }
    }
    take_mail(lane);
    fire_timers(lane);
    MHD_run(lane->daemon);
    hand_over(lane);
}

/* ---- the end ---- */

void
lane_ask(struct lane *lane, enum lane_stage stage)
{
    {
        LOCKED(&lane->lock);
        lane->asked = stage;
    }
    ring(lane);
}

bool
lane_await(struct lane *lane, enum lane_stage stage, span_ms limit)
{
    mono_ms until = clock_mono() + limit;
    const struct timespec deadline = {until / 1000, until % 1000 * 1000000};

    LOCKED(&lane->lock);
    while (lane->reached < stage)
        if (pthread_cond_clockwait(&lane->moved, &lane->lock, CLOCK_MONOTONIC,
                                   &deadline) != 0)
            return false;
    return true;
}

static void
reach(struct lane *lane, enum lane_stage stage)
{
    LOCKED(&lane->lock);
    if (lane->reached < stage)
        lane->reached = stage;
    pthread_cond_signal(&lane->moved);
}

static void
end_all_waits(struct lane *lane)
{
    for (struct client *c = lane->clients; c != NULL; c = c->next)
        if (c->phase == PHASE_WAITING)
            exchange_wait_over(c);
}

/* Takes notice of what the owner asked for. */
static void
follow(struct lane *lane)
{
    enum lane_stage asked;

    {
        LOCKED(&lane->lock);
        asked = lane->asked;
    }
    if (asked == lane->stage)
        return;
    if (lane->stage == LANE_OPEN)
        MHD_quiesce_daemon(lane->daemon);
    lane->stage = asked;
    end_all_waits(lane);
    if (asked == LANE_CUT)
        reach(lane, LANE_CUT);
}

static bool
has_suspended(const struct lane *lane)
{
    for (const struct client *c = lane->clients; c != NULL; c = c->next)
        if (c->phase == PHASE_CALLING || c->phase == PHASE_WAITING)
            return true;
    return false;
}

static void *
run(void *opaque)
{
    struct lane *lane = opaque;

    while (lane->stage != LANE_CLOSING || has_suspended(lane)) {
        turn(lane);
        follow(lane);
        if (lane->stage == LANE_DRAINING && lane->open == 0)
            reach(lane, LANE_DRAINING);
    }
    MHD_run(lane->daemon); /* sends what was just resumed */
    MHD_stop_daemon(lane->daemon);
    return NULL;
}

/* ---- the beginning ---- */

static struct MHD_Daemon *
start_daemon(struct lane *lane, unsigned connections)
{
    const struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, lane->ingress->listen_fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, connections, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT,
         (intptr_t)lane->ingress->pool_bytes, NULL},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
        lane, MHD_OPTION_ARRAY, options, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, lane, MHD_OPTION_NOTIFY_COMPLETED, on_completed, lane,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, lane,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, lane, MHD_OPTION_END);
}

static int
watch_sources(struct lane *lane)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(lane->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct epoll_event http = {.events = EPOLLIN, .data.ptr = lane};
    struct epoll_event bell = {.events = EPOLLIN, .data.ptr = &lane->bell};

    lane->epoll = epoll_create1(EPOLL_CLOEXEC);
    lane->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (info == NULL || lane->epoll < 0 || lane->bell < 0 ||
        epoll_ctl(lane->epoll, EPOLL_CTL_ADD, info->epoll_fd, &http) < 0 ||
        epoll_ctl(lane->epoll, EPOLL_CTL_ADD, lane->bell, &bell) < 0)
        return -errno;
    return 0;
}

int
lane_start(struct lane *lane, struct ingress *ingress, unsigned connections,
           struct error *err)
{
    *lane = (struct lane){.ingress = ingress, .now = clock_mono()};
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->moved, NULL);
    mailbox_init(&lane->returns, ring, lane);
    mailbox_init(&lane->answers, ring, lane);
    lane->submissions_last = &lane->submissions;
    timers_init(&lane->timers);
    buf_init(&lane->scratch, SIZE_MAX);
    lane->daemon = start_daemon(lane, connections);
    if (lane->daemon == NULL)
        return error_system(err, -errno, "starting the HTTP listener");
    int r = watch_sources(lane);
    if (r == 0)
        r = -pthread_create(&lane->thread, NULL, run, lane);
    return r < 0 ? error_system(err, r, "starting a thread of the listener")
                 : 0;
}

void
lane_stop(struct lane *lane)
{
    pthread_join(lane->thread, NULL);
    assert(lane->clients == NULL && lane->open == 0 &&
           lane->submissions == NULL);
    close(lane->epoll);
    close(lane->bell);
    mailbox_fini(&lane->returns);
    mailbox_fini(&lane->answers);
    timers_fini(&lane->timers);
    buf_fini(&lane->scratch);
    pthread_cond_destroy(&lane->moved);
    pthread_mutex_destroy(&lane->lock);
}
