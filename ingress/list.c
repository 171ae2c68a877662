/* list.c - taking a field's value apart where no quoted string stands. */
#include "ingress/list.h"

bool
list_cut(struct slice *rest, char separator, struct slice *part)
{
    bool quoted = false;
    size_t i = 0;

    if (rest->at == NULL)
        return false;
    for (; i < rest->len; i++) {
        char c = rest->at[i];
        if (quoted && c == '\\' && i + 1 < rest->len)
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == separator && !quoted)
            break;
    }
    *part = (struct slice){rest->at, i};
    *rest = i < rest->len ? slice_from(*rest, i + 1) : (struct slice){NULL, 0};
    return true;
}
