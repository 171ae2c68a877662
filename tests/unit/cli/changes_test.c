/* changes_test.c - which queues are as wished already. */
#include "cli/changes.h"
#include "tests/unit/test.h"

START_TEST(what_is_so_already_is_told_from_what_is_not)
{
    static const struct {
        struct control control;
        struct change change;
        bool is_so;
    } cases[] = {
        {{.state = CONTROL_OPEN}, {.kind = CHANGE_PAUSE}, false},
        {{.state = CONTROL_PAUSED}, {.kind = CHANGE_PAUSE}, true},
        {{.state = CONTROL_PROBING}, {.kind = CHANGE_PAUSE}, true},
        {{.state = CONTROL_PAUSED}, {.kind = CHANGE_RESUME}, false},
        {{.state = CONTROL_OPEN, .release = "1"},
         {.kind = CHANGE_RESUME},
         true},
        {{.state = CONTROL_OPEN, .release = "1"},
         {.kind = CHANGE_RESUME, .release = "1"},
         true},
        {{.state = CONTROL_OPEN, .release = "1"},
         {.kind = CHANGE_RESUME, .release = "2"},
         false},
        {{.state = CONTROL_DRAINED, .release = "1"},
         {.kind = CHANGE_RESUME, .release = "1"},
         false},
        {{.accepting = true}, {.kind = CHANGE_REFUSE}, false},
        {{.accepting = false}, {.kind = CHANGE_REFUSE}, true},
        {{.accepting = true}, {.kind = CHANGE_ACCEPT}, true},
        {{.accepting = false}, {.kind = CHANGE_ACCEPT}, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_int_eq(changes_is_so(&cases[i].control, &cases[i].change),
                         cases[i].is_so);
}
END_TEST

TESTS("cli", "changes", what_is_so_already_is_told_from_what_is_not)
