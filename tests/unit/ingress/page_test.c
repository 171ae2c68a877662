/* page_test.c - the waiting page by itself. */
#include "ingress/page.h"

#include <sodium.h>
#include <string.h>

#include "tests/unit/test.h"

static const struct ticket ticket;
static char storage[PAGE_SIZE];

static const char *
written(const struct ticket_status *status, bool is_in_place)
{
    struct text text = text_over(storage, sizeof(storage));

    page_write(&text, &(struct page){.ticket = &ticket,
                                     .status = status,
                                     .refresh = 7,
                                     .is_in_place = is_in_place});
    ck_assert(!text.is_cut);
    return text_end(&text);
}

static void
check_has(const char *page, const char *part)
{
    ck_assert_msg(strstr(page, part) != NULL, "there is no %s", part);
}

static void
check_has_not(const char *page, const char *part)
{
    ck_assert_msg(strstr(page, part) == NULL, "there is %s", part);
}

START_TEST(the_facts_of_a_pause_stand_on_the_page)
{
    static const struct ticket_status status = {
        .position = 12,
        .submitted = 1000,
        .paused_since = 86400000,
        .paused_why = "back at <b>noon</b>, \"für\" alle",
        .reason = "not said"};
    const char *page = written(&status, false);

    check_has(page, "data-state=\"paused\"");
    check_has(page, ">12</dd>");
    check_has(page, "class=\"paused\">back at &lt;b&gt;noon&lt;/b&gt;, "
                    "&quot;für&quot; alle</blockquote>");
    check_has(page, ">1970-01-02 00:00 UTC</dd>");
    check_has(page, ">1970-01-01 00:00 UTC</dd>");
    check_has_not(page, "not said");
}
END_TEST

START_TEST(what_is_not_known_is_hidden)
{
    static const struct ticket_status status = {.state = TICKET_RUNNING,
                                                .position = -1,
                                                .paused_since = 86400000,
                                                .paused_why =
                                                    "not of one that runs"};
    const char *page = written(&status, false);

    check_has(page, "data-state=\"running\"");
    check_has(page, "<div hidden><dt>Ahead of it</dt>");
    check_has(page, "<div hidden><dt>Paused since</dt>");
    check_has_not(page, "not of one");
}
END_TEST

START_TEST(it_comes_back_without_scripts_too)
{
    static const struct ticket_status status = {.position = -1};
    char refresh[200], text[TICKET_TEXT + 1];

    ticket_format(&ticket, text);
    snprintf(refresh, sizeof(refresh),
             "<noscript><meta http-equiv=\"refresh\" content=\"7; "
             "url=/-/tickets/%s/response\"></noscript>",
             text);
    check_has(written(&status, false), refresh);
    check_has_not(written(&status, false), "data-place=\"here\"");
    check_has(written(&status, true), "data-place=\"here\"");
}
END_TEST

START_TEST(it_needs_nothing_from_elsewhere)
{
    static const struct ticket_status status = {.position = -1};
    const char *page = written(&status, true);

    check_has_not(page, "src=");
    check_has_not(page, "http:");
    check_has_not(page, "https:");
    check_has(page, "<html lang=\"en\">");
    check_has(page, "name=\"viewport\"");
}
END_TEST

START_TEST(the_longest_page_fits)
{
    static struct ticket_status status = {
        .position = INT64_MAX, .submitted = 1, .started = 1, .paused_since = 1};

    memset(status.paused_why, '"', sizeof(status.paused_why) - 1);
    memset(status.reason, '"', sizeof(status.reason) - 1);
    written(&status, true);
    status.paused_since = 0;
    written(&status, true);
}
END_TEST

/* The policy names the hash of what stands between the two tags. */
static void
check_permitted(const char *page, const char *policy, const char *directive,
                const char *open, const char *shut)
{
    unsigned char bytes[crypto_hash_sha256_BYTES];
    char hash[64], source[128];
    const char *at = strstr(page, open) + strlen(open);
    const char *end = strstr(at, shut);

    ck_assert_ptr_null(strstr(end, open)); /* there is one of it */
    crypto_hash_sha256(bytes, (const unsigned char *)at, (size_t)(end - at));
    sodium_bin2base64(hash, sizeof(hash), bytes, sizeof(bytes),
                      sodium_base64_VARIANT_ORIGINAL);
    snprintf(source, sizeof(source), "%s 'sha256-%s';", directive, hash);
    check_has(policy, source);
}

START_TEST(the_policy_permits_its_script_and_its_style_alone)
{
    static const struct ticket_status status = {.position = -1};
    char policy[PAGE_POLICY_SIZE];
    const char *page = written(&status, false);

    page_policy(policy);
    ck_assert_uint_lt(strlen(policy), sizeof(policy) - 1);
    ck_assert_int_eq(strncmp(policy, "default-src 'none';", 19), 0);
    check_permitted(page, policy, "script-src", "<script>", "</script>");
    check_permitted(page, policy, "style-src", "<style>", "</style>");
    check_has_not(policy, "unsafe");
    check_has_not(page, "style=");
}
END_TEST

TESTS("ingress", "page", the_facts_of_a_pause_stand_on_the_page,
      what_is_not_known_is_hidden, it_comes_back_without_scripts_too,
      it_needs_nothing_from_elsewhere, the_longest_page_fits,
      the_policy_permits_its_script_and_its_style_alone)
