/* head_fuzz.c - any header: no crash, and what is taken has one end, one host
 * and a path without dot segments.
 *
 * The input is lines: method, target, then fields.
 */
#include <assert.h>
#include <stdint.h>

#include "ingress/head.h"

#define FIELDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct slice rest = {(const char *)bytes, len};
    struct slice line, method = SLICE(""), target = SLICE("");
    struct field fields[FIELDS_MAX];
    struct refusal refusal = {0};
    struct head head;
    size_t n = 0;

    slice_cut(&rest, '\n', &method);
    slice_cut(&rest, '\n', &target);
    while (n < FIELDS_MAX && slice_cut(&rest, '\n', &line)) {
        slice_cut(&line, ':', &fields[n].name);
        fields[n].value = slice_trim(line);
        n++;
    }
    if (head_read(&head, method, target, false, fields, n, &refusal) < 0) {
        assert(refusal.status >= 400 && refusal.code != NULL);
        return 0;
    }
    assert(!(head.has_length && head.is_chunked));
    assert(head.host.len > 0);
    assert(head.target.path.len > 0);
    for (size_t i = 0; i < n; i++)
        head_drops(&head, fields, n, fields[i].name);
    return 0;
}
