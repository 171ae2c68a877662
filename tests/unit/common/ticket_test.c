/* ticket_test.c - tickets and the secret they are made with. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ticket.h"

static char directory[64];
static char path[96];

static struct ticket_secret *
secret_new(void)
{
    struct ticket_secret *secret = NULL;
    struct error err;

    strcpy(directory, "/tmp/cloakroom-ticket-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/ticket.key", directory);
    ck_assert_msg(ticket_secret_load(path, true, &secret, &err) == 0, "%s",
                  err.text);
    return secret;
}

static void
secret_end(struct ticket_secret *secret)
{
    ticket_secret_free(secret);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(directory), 0);
}

START_TEST(what_is_formatted_is_parsed_again)
{
    struct ticket_secret *secret = secret_new();

    for (int i = 0; i < 1000; i++) {
        struct ticket back, ticket = ticket_make(secret, 1700000000000 + i, -1);
        char text[TICKET_TEXT + 1];
        ticket_format(&ticket, text);
        ck_assert_uint_eq(strlen(text), TICKET_TEXT);
        ck_assert_int_eq(ticket_parse(secret, slice_of(text), &back), 0);
        ck_assert(ticket_eq(&ticket, &back));
        ck_assert_int_eq(ticket_time(&back), 1700000000000 + i);
    }
    secret_end(secret);
}
END_TEST

START_TEST(any_changed_character_is_refused)
{
    struct ticket_secret *secret = secret_new();
    struct ticket back, ticket = ticket_make(secret, clock_wall(), -1);
    char text[TICKET_TEXT + 1];

    ticket_format(&ticket, text);
    for (size_t i = 0; i < TICKET_TEXT; i++) {
        char was = text[i];
        text[i] = was == '0' ? '1' : '0';
        ck_assert_int_eq(ticket_parse(secret, slice_of(text), &back), -ENOENT);
        text[i] = was;
    }
    ck_assert_int_eq(ticket_parse(secret, slice_of(text), &back), 0);
    secret_end(secret);
}
END_TEST

START_TEST(what_is_no_ticket_is_refused)
{
    static const char *const made_up[] = {
        "",
        "0",
        "../../../../../../../../../../etc/passwd",
        "000000000000000000000000000000000000000",
        "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        "00000000000000000000000000000000000000%",
        "0000000000000000000000000000000000000000"};
    struct ticket_secret *secret = secret_new();
    struct ticket back;

    for (size_t i = 0; i < ARRAY_LEN(made_up); i++)
        ck_assert_int_eq(ticket_parse(secret, slice_of(made_up[i]), &back),
                         -ENOENT);
    secret_end(secret);
}
END_TEST

START_TEST(upper_case_is_another_spelling_and_refused)
{
    struct ticket_secret *secret = secret_new();
    struct ticket back, ticket = ticket_make(secret, 1700000000000, -1);
    char text[TICKET_TEXT + 1];

    ticket_format(&ticket, text);
    for (size_t i = 0; i < TICKET_TEXT; i++)
        if (text[i] >= 'a')
            text[i] = (char)(text[i] - 'a' + 'A');
    ck_assert_int_eq(ticket_parse(secret, slice_of(text), &back), -ENOENT);
    secret_end(secret);
}
END_TEST

START_TEST(another_secret_refuses_the_ticket)
{
    struct ticket_secret *mine = secret_new(), *other = NULL;
    char second[128], text[TICKET_TEXT + 1];
    struct ticket back, ticket = ticket_make(mine, 1700000000000, -1);

    snprintf(second, sizeof(second), "%s/other.key", directory);
    ck_assert_int_eq(ticket_secret_load(second, true, &other, NULL), 0);
    ticket_format(&ticket, text);
    ck_assert_int_eq(ticket_parse(other, slice_of(text), &back), -ENOENT);
    ticket_secret_free(other);
    unlink(second);
    secret_end(mine);
}
END_TEST

START_TEST(it_is_a_uuid_of_version_8_and_keeps_its_slot)
{
    struct ticket_secret *secret = secret_new();

    for (int slot = 0; slot < 65536; slot += 257) {
        struct ticket ticket = ticket_make(secret, 1700000000000, slot);
        ck_assert_uint_eq(ticket.bytes[6] >> 4, 8);
        ck_assert_uint_eq(ticket.bytes[8] >> 6, 2);
        ck_assert_uint_eq(ticket_slot(&ticket), (unsigned)slot);
    }
    secret_end(secret);
}
END_TEST

START_TEST(tickets_of_one_moment_share_a_slot_a_few_at_a_time)
{
    struct ticket_secret *secret = secret_new();
    unsigned slot = 0, changes = 0;

    for (unsigned i = 0; i < 64 * TICKET_TOGETHER; i++) {
        const struct ticket ticket =
            ticket_make(secret, 1700000000000, TICKET_RANDOM_SLOT);
        if (i % TICKET_TOGETHER != 0)
            ck_assert_uint_eq(ticket_slot(&ticket), slot);
        changes += i > 0 && ticket_slot(&ticket) != slot;
        slot = ticket_slot(&ticket);
    }
    ck_assert_uint_gt(changes, 32); /* by chance two may be the same */
    changes = 0;
    for (wall_ms now = 1700000000001; now <= 1700000000064; now++) {
        const struct ticket ticket =
            ticket_make(secret, now, TICKET_RANDOM_SLOT);
        changes += ticket_slot(&ticket) != slot;
        slot = ticket_slot(&ticket);
    }
    ck_assert_uint_gt(changes, 32);
    secret_end(secret);
}
END_TEST

START_TEST(text_sorts_by_time)
{
    struct ticket_secret *secret = secret_new();
    char earlier[TICKET_TEXT + 1], later[TICKET_TEXT + 1];
    struct ticket a = ticket_make(secret, 1700000000000, -1);
    struct ticket b = ticket_make(secret, 1700000000001, -1);

    ticket_format(&a, earlier);
    ticket_format(&b, later);
    ck_assert_str_lt(earlier, later);
    secret_end(secret);
}
END_TEST

START_TEST(the_secret_is_private_and_stays)
{
    struct ticket_secret *first = secret_new(), *second = NULL;
    struct ticket back, ticket = ticket_make(first, 1700000000000, -1);
    char text[TICKET_TEXT + 1];
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(ticket_secret_load(path, true, &second, NULL), 0);
    ticket_format(&ticket, text);
    ck_assert_int_eq(ticket_parse(second, slice_of(text), &back), 0);
    ticket_secret_free(second);
    secret_end(first);
}
END_TEST

START_TEST(a_secret_is_copied_where_there_is_none)
{
    struct ticket_secret *first = secret_new(), *second = NULL;
    struct ticket back, ticket = ticket_make(first, 1700000000000, -1);
    char other[128], text[TICKET_TEXT + 1];
    struct stat st;
    bool made;

    snprintf(other, sizeof(other), "%s/other.key", directory);
    for (int i = 0; i < 2; i++) { /* the second time it is there */
        ck_assert_int_eq(ticket_secret_copy(path, other, &made, NULL), 0);
        ck_assert(made == (i == 0));
    }
    ck_assert_int_eq(stat(other, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(ticket_secret_load(other, false, &second, NULL), 0);
    ticket_format(&ticket, text);
    ck_assert_int_eq(ticket_parse(second, slice_of(text), &back), 0);
    ticket_secret_free(second);
    ck_assert_int_eq(unlink(other), 0);

    ck_assert_int_eq(ticket_secret_load(other, true, &second, NULL), 0);
    ck_assert_int_eq(ticket_secret_copy(path, other, &made, NULL), -EEXIST);
    ck_assert(!made);
    ticket_secret_free(second);
    ck_assert_int_eq(unlink(other), 0);
    secret_end(first);
}
END_TEST

START_TEST(an_open_or_short_or_missing_secret_is_refused)
{
    struct ticket_secret *secret = secret_new(), *other = NULL;
    struct error err = {0};

    ck_assert_int_eq(chmod(path, 0640), 0);
    ck_assert_int_eq(ticket_secret_load(path, true, &other, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "chmod 600"));
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(truncate(path, 31), 0);
    ck_assert_int_eq(ticket_secret_load(path, true, &other, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "32 bytes"));
    ck_assert_int_eq(
        ticket_secret_load("/tmp/no/such/key", false, &other, &err), -ENOENT);
    ck_assert_ptr_null(other);
    secret_end(secret);
}
END_TEST

START_TEST(two_makers_at_once_have_one_secret)
{
    struct ticket_secret *first = secret_new();
    struct ticket ticket = ticket_make(first, 1700000000000, -1);
    char text[TICKET_TEXT + 1];
    int status;

    ck_assert_int_eq(unlink(path), 0);
    ticket_secret_free(first);
    first = NULL;
    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            struct ticket_secret *mine = NULL;
            _exit(ticket_secret_load(path, true, &mine, NULL) == 0 ? 0 : 1);
        }
    ck_assert_int_eq(ticket_secret_load(path, true, &first, NULL), 0);
    ticket = ticket_make(first, 1700000000000, -1);
    ticket_format(&ticket, text);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    struct ticket_secret *again = NULL;
    ck_assert_int_eq(ticket_secret_load(path, false, &again, NULL), 0);
    ck_assert_int_eq(ticket_parse(again, slice_of(text), &ticket), 0);
    ticket_secret_free(again);
    secret_end(first);
}
END_TEST

START_TEST(a_child_of_fork_makes_other_tickets)
{
    struct ticket_secret *secret = secret_new();
    struct ticket mine, theirs = ticket_make(secret, 1700000000000, -1);
    int pipes[2];

    ck_assert_int_eq(pipe(pipes), 0);
    if (fork() == 0) {
        theirs = ticket_make(secret, 1700000000000, -1);
        _exit(write(pipes[1], &theirs, sizeof(theirs)) == sizeof(theirs) ? 0
                                                                         : 1);
    }
    mine = ticket_make(secret, 1700000000000, -1);
    ck_assert_int_eq(read(pipes[0], &theirs, sizeof(theirs)), sizeof(theirs));
    ck_assert(!ticket_eq(&mine, &theirs));
    ck_assert_int_gt(wait(NULL), 0);
    secret_end(secret);
}
END_TEST

TESTS("common", "ticket", a_child_of_fork_makes_other_tickets,
      what_is_formatted_is_parsed_again, any_changed_character_is_refused,
      what_is_no_ticket_is_refused, upper_case_is_another_spelling_and_refused,
      another_secret_refuses_the_ticket,
      it_is_a_uuid_of_version_8_and_keeps_its_slot,
      tickets_of_one_moment_share_a_slot_a_few_at_a_time, text_sorts_by_time,
      the_secret_is_private_and_stays, a_secret_is_copied_where_there_is_none,
      an_open_or_short_or_missing_secret_is_refused,
      two_makers_at_once_have_one_secret)
