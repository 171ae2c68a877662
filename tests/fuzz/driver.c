/* driver.c - runs one fuzz target on its seeds and on mutations of them.
 *
 * usage: X_fuzz SEEDS-FOLDER COUNT [RANDOM-SEED]
 *
 * Small on purpose: gcc has no libFuzzer, and a target is the same function
 * that libFuzzer calls, so clang's can be linked in its place. A crash is the
 * sanitizers' to report; the input is left in ./crash-input.
 */
#include <assert.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define INPUT_MAX 65536
#define SEEDS_MAX 256

struct input {
    uint8_t *at;
    size_t len;
};

static struct input seeds[SEEDS_MAX];
static size_t seeds_len;
static struct input current; /* for the report of a crash */

static uint64_t state;

/* xorshift64*: repeatable, and good enough to choose mutations. */
static uint32_t
next(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)(state * 2685821657736338717u >> 32);
}

static void
read_seed(const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        exit(2);
    }
    struct input *seed = &seeds[seeds_len++];
    seed->at = mem_zalloc(INPUT_MAX);
    seed->len = fread(seed->at, 1, INPUT_MAX, file);
    fclose(file);
}

static void
read_seeds(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (dir == NULL) {
        perror(folder);
        exit(2);
    }
    while ((entry = readdir(dir)) != NULL && seeds_len < SEEDS_MAX) {
        char *path = mem_printf("%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            read_seed(path);
        free(path);
    }
    closedir(dir);
    if (seeds_len == 0) {
        fprintf(stderr, "%s: no seeds\n", folder);
        exit(2);
    }
}

static const struct input *
any_seed(void)
{
    assert(seeds_len > 0);
    return &seeds[next() % seeds_len];
}

/* Puts a piece of another seed at a random place. */
static void
splice(struct input *input)
{
    const struct input *other = any_seed();
    size_t at = input->len == 0 ? 0 : next() % input->len;
    size_t len = other->len == 0 ? 0 : next() % other->len;

    if (at + len > INPUT_MAX)
        len = INPUT_MAX - at;
    memcpy(input->at + at, other->at, len);
    if (at + len > input->len)
        input->len = at + len;
}

static void
erase(struct input *input)
{
    size_t at = next() % input->len;
    size_t len = 1 + next() % (input->len - at);

    memmove(input->at + at, input->at + at + len, input->len - at - len);
    input->len -= len;
}

static void
mutate(struct input *input)
{
    static const char marks[] = "\r\n:;=,\"\\ \t/%{}[]0\xff";

    for (uint32_t times = 1 + next() % 6; times > 0; times--) {
        uint32_t way = next() % 5;
        if (way == 0 || input->len == 0)
            splice(input);
        else if (way == 1)
            erase(input);
        else if (way == 2)
            input->at[next() % input->len] = (uint8_t)next();
        else if (way == 3)
            input->at[next() % input->len] ^= (uint8_t)(1 << next() % 8);
        else
            input->at[next() % input->len] =
                (uint8_t)marks[next() % sizeof(marks)];
    }
}

/* Runs it on a copy of its exact size, so that a read past the end is seen. */
static void
run(const struct input *input)
{
    uint8_t *exact = mem_zalloc(input->len > 0 ? input->len : 1);

    current = *input;
    memcpy(exact, input->at, input->len);
    LLVMFuzzerTestOneInput(exact, input->len);
    free(exact);
}

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_set_death_callback(void (*callback)(void));

static void
save_input(void)
{
    FILE *file = fopen("crash-input", "wb");

    if (file == NULL)
        return;
    fwrite(current.at, 1, current.len, file);
    fclose(file);
}
#endif

int
main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s SEEDS-FOLDER COUNT [RANDOM-SEED]\n",
                argv[0]);
        return 2;
    }
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(save_input);
#endif
    state = argc > 3 ? strtoull(argv[3], NULL, 10) | 1 : 88172645463325252u;
    read_seeds(argv[1]);

    struct input input = {.at = mem_zalloc(INPUT_MAX)};
    for (size_t i = 0; i < seeds_len; i++)
        run(&seeds[i]);
    for (unsigned long n = strtoul(argv[2], NULL, 10); n > 0; n--) {
        const struct input *seed = any_seed();
        memcpy(input.at, seed->at, seed->len);
        input.len = seed->len;
        mutate(&input);
        run(&input);
    }
    for (size_t i = 0; i < seeds_len; i++)
        free(seeds[i].at);
    free(input.at);
    printf("%zu seeds and %s mutations passed\n", seeds_len, argv[2]);
    return 0;
}
