/* schema_test.c - files that are newer, foreign or damaged. */
#include "broker/embedded/schema.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/conformance/rig.h"
#include "tests/unit/test.h"

/* A store that some requests were put into, closed. */
static void
make_store(struct rig *rig, struct ticket *ticket, const char *text)
{
    rig_init(rig);
    rig_open(rig);
    ck_assert_int_eq(submit(rig->broker, (struct ask){.text = text}, ticket),
                     0);
    rig_close(rig);
    rig_open(rig); /* writes the log back into the file */
    rig_close(rig);
}

static int
open_again(struct rig *rig, struct error *err)
{
    const struct broker_options options = {
        .settings = &rig->settings, .role = BROKER_INGRESS, .create = true};

    return broker_open(&options, &rig->broker, err);
}

static void
run_sql(const struct rig *rig, const char *text)
{
    struct db db;
    struct error err;

    ck_assert_int_eq(db_open(&db, rig->directory, DB_WRITER, false, &err), 0);
    ck_assert_int_eq(db_run_text(&db, text), 0);
    ck_assert_int_eq(db_run_text(&db, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    db_close(&db);
}

static char *
read_file(const struct rig *rig, size_t *len)
{
    char path[300];
    struct stat st;

    snprintf(path, sizeof(path), "%s/cloakroom.db", rig->directory);
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    *len = (size_t)st.st_size;
    char *bytes = mem_zalloc(*len);
    ck_assert_int_eq(read(fd, bytes, *len), st.st_size);
    close(fd);
    return bytes;
}

static void
write_file(const struct rig *rig, size_t at, const void *bytes, size_t len)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/cloakroom.db", rig->directory);
    int fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, len, (off_t)at), len);
    close(fd);
}

START_TEST(a_newer_format_is_refused_and_left_alone)
{
    struct rig rig;
    struct ticket ticket;
    struct error err;
    size_t len, len_after;

    make_store(&rig, &ticket, "a");
    run_sql(&rig, "PRAGMA user_version = 3");
    char *before = read_file(&rig, &len);
    ck_assert_int_eq(open_again(&rig, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "format 3"));
    ck_assert_ptr_nonnull(strstr(err.text, rig.directory));
    ck_assert_ptr_nonnull(strstr(err.text, "left alone"));
    char *after = read_file(&rig, &len_after);
    ck_assert_uint_eq(len, len_after);
    ck_assert(memcmp(before, after, len) == 0);
    free(before);
    free(after);
    run_sql(&rig, "PRAGMA user_version = 2");
    ck_assert_int_eq(open_again(&rig, &err), 0);
    rig_fini(&rig);
}
END_TEST

/* The store of a released or long used format, as it was dumped then. */
static void
load_dump(const struct rig *rig, const char *name)
{
    char path[300];
    struct stat st;
    sqlite3 *sqlite;

    snprintf(path, sizeof(path), "%.*s/%s",
             (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__, name);
    int fd = open(path, O_RDONLY);
    ck_assert_msg(fd >= 0, "%s is not there", path);
    ck_assert_int_eq(fstat(fd, &st), 0);
    char *text = mem_zalloc((size_t)st.st_size + 1);
    ck_assert_int_eq(read(fd, text, (size_t)st.st_size), st.st_size);
    close(fd);
    snprintf(path, sizeof(path), "%s/cloakroom.db", rig->directory);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(sqlite3_open(path, &sqlite), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(sqlite, text, NULL, NULL, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_close(sqlite), SQLITE_OK);
    free(text);
}

START_TEST(a_store_of_format_1_is_brought_to_ours_with_all_that_it_holds)
{
    static const struct ticket answered = {
        {0x01, 0xA2, 0x13, 0xE8, 0x3F, 0x33, 0x8F, 0x46,
         0x90, 0x27, 0xA7, 0x1F, 0x8C, 0x76, 0x79, 0xCE,
         0xA7, 0x1E, 0xDB, 0xCD, 0xED, 0xFB, 0xEC, 0x5A}};
    struct rig rig;
    struct ticket ticket;
    struct error err;

    make_store(&rig, &ticket, "a");
    load_dump(&rig, "format-1.sql");
    ck_assert_int_eq(open_again(&rig, &err), 0);
    ck_assert_ptr_nonnull(
        strstr(response(rig.broker, &answered), "answered by format 1"));
    ck_assert_uint_eq(stats(rig.broker, 0).queued, 1);
    ck_assert_int_eq(stats(rig.broker, 0).control.state, CONTROL_OPEN);
    ck_assert_uint_eq(stats(rig.broker, 0).control.epoch, 1);
    serve_one(rig.broker, 0, "b");
    ck_assert_uint_eq(stats(rig.broker, 0).done, 2);
    rig_close(&rig);
    ck_assert_int_eq(open_again(&rig, &err), 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_file_of_another_program_is_refused)
{
    struct rig rig;
    struct ticket ticket;
    struct error err;

    make_store(&rig, &ticket, "a");
    run_sql(&rig, "PRAGMA application_id = 1");
    ck_assert_int_eq(open_again(&rig, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "not made by Cloakroom"));
    rig_fini(&rig);
}
END_TEST

START_TEST(a_file_of_rubbish_is_refused)
{
    struct rig rig;
    struct ticket ticket;
    struct error err;
    char rubbish[4096];

    make_store(&rig, &ticket, "a");
    memset(rubbish, 'z', sizeof(rubbish));
    write_file(&rig, 0, rubbish, sizeof(rubbish));
    ck_assert_int_eq(open_again(&rig, &err), -EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "backup"));
    rig_fini(&rig);
}
END_TEST

START_TEST(a_damaged_page_is_found_at_the_start)
{
    struct rig rig;
    struct ticket ticket;
    struct error err;
    char rubbish[4096];
    size_t len;

    make_store(&rig, &ticket, "a");
    free(read_file(&rig, &len));
    memset(rubbish, 'z', sizeof(rubbish));
    for (size_t at = 2 * 4096; at < len; at += 3 * 4096)
        write_file(&rig, at, rubbish, sizeof(rubbish));
    ck_assert_int_eq(open_again(&rig, &err), -EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
    rig_fini(&rig);
}
END_TEST

START_TEST(a_damaged_control_state_is_told_and_aborts_nobody)
{
    struct rig rig;
    struct ticket ticket;
    struct control control;
    struct error err;

    make_store(&rig, &ticket, "a");
    run_sql(&rig, "UPDATE queue SET state = 'drained'");
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(broker_control(broker, 0, &control, &err), -EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "contradicts itself"));
    rig_fini(&rig);
}
END_TEST

START_TEST(a_request_with_a_flipped_bit_is_not_run)
{
    static const char text[] = "POST / HTTP/1.1 with something to flip in it";
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    size_t len;

    make_store(&rig, &ticket, text);
    char *bytes = read_file(&rig, &len);
    char *at = memmem(bytes, len, text, sizeof(text) - 1);
    ck_assert_ptr_nonnull(at);
    write_file(&rig, (size_t)(at - bytes), "p", 1);
    free(bytes);

    struct broker *broker = rig_open(&rig);
    taker_open(&taker, broker, 0, "1", 1);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_FAILED);
    ck_assert(taker_gets_nothing(&taker, 0));
    ck_assert_ptr_nonnull(strstr(response(broker, &ticket), " 500 "));
    ck_assert_uint_eq(stats(broker, 0).dead, 1);
    ck_assert_int_eq(broker_dead_replay(broker, &ticket, &ticket, NULL), -EIO);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_response_with_a_flipped_bit_is_not_shown)
{
    static const char text[] = "HTTP/1.1 200 OK with something to flip in it";
    struct rig rig;
    struct ticket ticket;
    struct ticket_status status;
    size_t len;

    make_store(&rig, &ticket, "a");
    rig_open(&rig);
    serve_one(rig.broker, 0, text);
    ck_assert_int_eq(wait_end(rig.broker, &ticket), TICKET_DONE);
    rig_close(&rig);
    rig_open(&rig);
    rig_close(&rig);
    char *bytes = read_file(&rig, &len);
    char *at = memmem(bytes, len, text, sizeof(text) - 1);
    ck_assert_ptr_nonnull(at);
    write_file(&rig, (size_t)(at - bytes), "h", 1);
    free(bytes);

    struct broker *broker = rig_open(&rig);
    ck_assert_str_eq(response(broker, &ticket), "");
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_DONE);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_record_of_a_newer_format_is_left_in_the_queue)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket, next;

    make_store(&rig, &ticket, "a");
    run_sql(&rig, "UPDATE request_1 SET format = 2");
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, (struct ask){.text = "b"}, &next), 0);
    taker_open(&taker, broker, 0, "1", 2);
    struct attempt *attempt = taker_next(&taker);
    ck_assert(ticket_eq(&attempt->ticket, &next));
    taker_answer(&taker, attempt, "c", false);
    ck_assert_int_eq(wait_end(broker, &next), TICKET_DONE);
    struct ticket_status status;
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_str_eq(status.reason, "stored in a newer format");
    ck_assert_uint_eq(status.attempts, 0);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(the_file_comes_down_after_a_backlog)
{
    enum { COUNT = 600 };
    struct rig rig;
    struct ticket ticket;
    struct stat st;
    char path[300];
    char *text = mem_zalloc(20001);

    memset(text, 'x', 20000);
    rig_init(&rig);
    rig.queues[0].retention_age = 1;
    rig_open(&rig);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(
            submit(rig.broker, (struct ask){.text = text}, &ticket), 0);
    snprintf(path, sizeof(path), "%s/cloakroom.db", rig.directory);
    ck_assert_int_eq(stat(path, &st), 0);
    for (int i = 0; i < COUNT; i++)
        serve_one(rig.broker, 0, "b");
    const off_t before = st.st_size;
    const mono_ms until = clock_mono() + RIG_LIMIT;
    while (st.st_size > 8 << 20 && clock_mono() < until) {
        wait_ms(50);
        ck_assert_int_eq(stat(path, &st), 0);
    }
    ck_assert_int_gt(before, 8 << 20);
    ck_assert_int_le(st.st_size, 8 << 20);
    rig_fini(&rig);
    free(text);
}
END_TEST

TESTS("broker", "schema", a_newer_format_is_refused_and_left_alone,
      a_store_of_format_1_is_brought_to_ours_with_all_that_it_holds,
      a_file_of_another_program_is_refused, a_file_of_rubbish_is_refused,
      a_damaged_page_is_found_at_the_start,
      a_damaged_control_state_is_told_and_aborts_nobody,
      a_request_with_a_flipped_bit_is_not_run,
      a_response_with_a_flipped_bit_is_not_shown,
      a_record_of_a_newer_format_is_left_in_the_queue,
      the_file_comes_down_after_a_backlog)
