/* cgi_path_test.c - targets cut into script, path info and query. */
#include "tests/unit/test.h"

#include <string.h>

#include "workers/handlers/cgi_path.h"

static void
check_cut(const char *target, const char *route, bool in_directory,
          const char *script, const char *info, const char *query)
{
    struct cgi_path path;
    struct error err;

    int r = cgi_path_cut(slice_of(target), slice_of(route), in_directory, &path,
                         &err);
    ck_assert_msg(r == 0, "%s: %s", target, err.text);
    ck_assert_msg(slice_is(path.script, script), "%s: script %.*s", target,
                  SLICE_ARG(path.script));
    ck_assert_msg(slice_is(path.info, info), "%s: info %.*s", target,
                  SLICE_ARG(path.info));
    ck_assert_msg(slice_is(path.query, query), "%s: query %.*s", target,
                  SLICE_ARG(path.query));
    cgi_path_fini(&path);
}

static void
check_refused(const char *target, bool in_directory, int expected)
{
    struct cgi_path path;
    struct error err = {0};

    ck_assert_msg(cgi_path_cut(slice_of(target), SLICE("/run"), in_directory,
                               &path, &err) == expected,
                  "%s", target);
    ck_assert_int_gt((int)strlen(err.text), 0);
}

START_TEST(a_target_is_cut_at_its_route)
{
    check_cut("/run", "/run", false, "/run", "", "");
    check_cut("/run/", "/run", false, "/run", "/", "");
    check_cut("/run/a/b?c=d", "/run", false, "/run", "/a/b", "c=d");
    check_cut("/run?c?d", "/run", false, "/run", "", "c?d");
    check_cut("/a", "", false, "", "/a", "");
    check_cut("/", "", false, "", "/", "");
    check_cut("*", "", false, "", "", "");
    check_cut("http://h:1/run/x?y", "/run", false, "/run", "/x", "y");
    check_cut("http://h", "", false, "", "/", "");
}
END_TEST

START_TEST(path_info_is_decoded_and_the_query_is_not)
{
    check_cut("/run/a%20b%3F%25?q=%20", "/run", false, "/run", "/a b?%",
              "q=%20");
    check_cut("/r%75n/x", "/run", false, "/run", "/x", "");
    check_cut("/run/%C3%A4/\xe4", "/run", false, "/run", "/\xc3\xa4/\xe4", "");
}
END_TEST

START_TEST(repeated_slashes_are_kept)
{
    check_cut("/run//a///b/", "/run", false, "/run", "//a///b/", "");
}
END_TEST

START_TEST(a_directory_takes_the_next_segment_as_program)
{
    check_cut("/run/prog", "/run", true, "/run/prog", "", "");
    check_cut("/run/prog/x//y", "/run", true, "/run/prog", "/x//y", "");
    check_cut("/prog.sh/x", "", true, "/prog.sh", "/x", "");
    check_refused("/run", true, -ENOENT);
    check_refused("/run/", true, -ENOENT);
    check_refused("/run//prog", true, -ENOENT);
    check_refused("/run/.hidden", true, -ENOENT);
    check_refused("/run/-option", true, -ENOENT);
}
END_TEST

START_TEST(what_could_lead_outside_is_refused)
{
    check_refused("/run/../etc", false, -EINVAL);
    check_refused("/run/a/..", false, -EINVAL);
    check_refused("/run/%2e%2E/etc", false, -EINVAL);
    check_refused("/run/./a", false, -EINVAL);
    check_refused("/run/a%2Fb", false, -ENOENT);
    check_refused("/run/..%2f..%2fetc", false, -ENOENT);
    check_refused("/run/%00", false, -EINVAL);
    check_refused("/run/%c0%ae%c0%ae/x", false, -EINVAL);
    check_refused("/run/%e0%80%ae", false, -EINVAL);
    check_refused("/run/%f0%80%80%ae", false, -EINVAL);
    check_refused("/run/%", false, -EINVAL);
    check_refused("/run/%2", false, -EINVAL);
    check_refused("/run/%zz", false, -EINVAL);
    check_refused("/running", false, -ENOENT);
    check_refused("/other", false, -ENOENT);
}
END_TEST

TESTS("workers", "cgi_path", a_target_is_cut_at_its_route,
      path_info_is_decoded_and_the_query_is_not, repeated_slashes_are_kept,
      a_directory_takes_the_next_segment_as_program,
      what_could_lead_outside_is_refused)
