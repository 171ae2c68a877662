/* settings_fuzz.c - settings_load on any bytes: no crash, no leak, and settings
 * exactly when nothing was complained of. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* A file in memory, as only its path can be loaded. */
static int
file_of(const uint8_t *bytes, size_t len)
{
    int fd = memfd_create("settings", MFD_CLOEXEC);

    assert(fd >= 0 && fchmod(fd, 0600) == 0);
    assert(write(fd, bytes, len) == (ssize_t)len);
    return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[64], *text = NULL;
    size_t text_len = 0;
    int fd = file_of(bytes, len);
    FILE *errors = open_memstream(&text, &text_len);

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct settings *settings = settings_load(path, errors);
    if (settings != NULL)
        settings_check_programs(settings, errors);
    fclose(errors);
    assert(settings != NULL || text_len > 0);
    settings_free(settings);
    free(text);
    close(fd);
    return 0;
}
