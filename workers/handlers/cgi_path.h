/* cgi_path.h - a request's target cut into script, path info and query.
 *
 * What is decoded once here could be taken for something else by a program that
 * opens files by it, so these are refused: NUL and broken escapes (400), "."
 * and
 * ".." as segments, plain or encoded (400), UTF-8 that hides an ASCII character
 * in a longer form (400), an encoded slash (404, as Apache does).
 *
 * Threads: any. Source: RFC 3875 sections 3.2, 4.1.5 and 4.1.13.
 */
#ifndef WORKERS_HANDLERS_CGI_PATH_H
#define WORKERS_HANDLERS_CGI_PATH_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/slice.h"

struct cgi_path {
    struct slice script;  /* SCRIPT_NAME: the route, and the program's name */
    struct slice program; /* a plain file name; empty without a directory */
    struct slice info;    /* PATH_INFO, decoded: empty, or begins with "/" */
    struct slice query;   /* as sent, behind the first "?" */
    struct buf bytes;     /* what script and info point into */
};

/* Cuts a target below route ("" for "/"). In a directory the first segment
 * names the program. -EINVAL (400) and -ENOENT (404) with a sentence for the
 * client. */
int cgi_path_cut(struct slice target, struct slice route, bool in_directory,
                 struct cgi_path *path, struct error *err);
void cgi_path_fini(struct cgi_path *path);

#endif
