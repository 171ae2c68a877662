/* accept.c - does a client rather want HTML or JSON? */
#include "ingress/accept.h"

#include "ingress/list.h"

/* "0.25" to 250: at most three digits, and nothing over 1. False: it is none.
 */
static bool
parse_quality(struct slice word, unsigned *quality)
{
    unsigned scale = 1000;

    if (word.len == 0 || word.len > 5 || word.at[0] < '0' || word.at[0] > '1' ||
        (word.len > 1 && word.at[1] != '.'))
        return false;
    *quality = word.at[0] == '1' ? 1000 : 0;
    for (size_t i = 2; i < word.len; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        scale /= 10;
        *quality += (unsigned)(word.at[i] - '0') * scale;
    }
    return *quality <= 1000;
}

/* The quality that the parameters give. False: it is not well formed. */
static bool
read_quality(struct slice parameters, unsigned *quality)
{
    struct slice parameter, name;

    *quality = 1000;
    while (list_cut(&parameters, ';', &parameter)) {
        if (!list_cut(&parameter, '=', &name))
            continue;
        if (slice_is_nocase(slice_trim(name), "q"))
            return parameter.at != NULL &&
                   parse_quality(slice_trim(parameter), quality);
    }
    return true;
}

static unsigned
exactness(struct slice range, const char *type, const char *group)
{
    if (slice_is_nocase(range, type))
        return 3;
    if (slice_is_nocase(range, group))
        return 2;
    return slice_is(range, "*/*") ? 1 : 0;
}

static void
apply(struct accept_type *type, unsigned exact, unsigned quality)
{
    if (exact == 0 || exact < type->exactness ||
        (exact == type->exactness && quality <= type->quality))
        return;
    type->exactness = exact;
    type->quality = quality;
}

void
accept_parse(struct accept *accept, struct slice value)
{
    struct slice member, range;
    unsigned quality;

    while (list_cut(&value, ',', &member)) {
        if (!list_cut(&member, ';', &range) || !read_quality(member, &quality))
            continue;
        range = slice_trim(range);
        apply(&accept->html, exactness(range, "text/html", "text/*"), quality);
        apply(&accept->json,
              exactness(range, "application/json", "application/*"), quality);
    }
}

bool
accept_prefers_html(const struct accept *accept)
{
    return accept->html.quality > accept->json.quality;
}
