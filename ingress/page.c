/* page.c - the waiting page: what a browser shows until the response is there.
 */
#include "ingress/page.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ingress/status.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1d2530;--soft:#5b6675;"
    "--line:#d9dee6;--back:#f3f5f8;--card:#fff;--mark:#2a6fdb}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;"
    "--line:#333d4a;--back:#12161c;--card:#1b2129;--mark:#7fb0ff}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;"
    "padding:1.25rem;background:var(--back);color:var(--ink);"
    "font:1rem/1.55 system-ui,sans-serif}\n"
    "main{width:100%;max-width:34rem;padding:2rem;background:var(--card);"
    "border:1px solid var(--line);border-radius:.75rem}\n"
    "h1{margin:0 0 .75rem;font-size:1.4rem;line-height:1.3}\n"
    "p{margin:0 0 1.25rem}\n"
    ".queued,.paused,.running{display:none}\n"
    "[data-state=queued] .queued,[data-state=paused] .paused,"
    "[data-state=running] .running{display:block}\n"
    "blockquote{margin:0 0 1.25rem;padding:.25rem 0 .25rem 1rem;"
    "border-left:.25rem solid var(--mark);white-space:pre-line;"
    "overflow-wrap:anywhere}\n"
    "dl{margin:0 0 1.25rem;padding:.5rem 0;border:solid var(--line);"
    "border-width:1px 0}\n"
    "dl div{display:flex;flex-wrap:wrap;gap:0 1rem;padding:.25rem 0}\n"
    "dt{flex:0 0 7.5rem;color:var(--soft)}\n"
    "dd{flex:1 1 12rem;margin:0;overflow-wrap:anywhere}\n"
    "[hidden]{display:none!important}\n"
    "code{font:.85rem/1.5 ui-monospace,monospace}\n"
    "footer{color:var(--soft);font-size:.9rem}\n"
    "a{color:var(--mark)}\n"
    "#bar{height:.25rem;margin:0 0 1.5rem;border-radius:.25rem;"
    "background:var(--line);overflow:hidden}\n"
    "#bar i{display:block;width:30%;height:100%;border-radius:.25rem;"
    "background:var(--mark);animation:to-and-fro 3s ease-in-out infinite "
    "alternate}\n"
    "[data-state=paused] #bar i{animation:none;width:100%;opacity:.35}\n"
    "@keyframes to-and-fro{from{margin-left:0}to{margin-left:70%}}\n"
    "@media(prefers-reduced-motion){#bar i{animation:none;width:100%}}\n";

/* A tab that is not seen asks now and then instead of holding a connection, of
 * which a browser has few for one host. The response is written into the page
 * where that leaves nothing of it out; else the browser goes to it. */
static const char script[] =
    "(function(){'use strict';\n"
    "var main=document.querySelector('main'),\n"
    " path='/-/tickets/'+main.dataset.ticket,answer=path+'/response',\n"
    " stream=null,timer=0,over=false;\n"
    "function stop(){if(stream)stream.close();stream=null;"
    "clearTimeout(timer);}\n"
    "function later(what,seconds){clearTimeout(timer);"
    "timer=setTimeout(what,seconds*1000);}\n"
    "function end(){over=true;stop();}\n"
    "function go(){end();location.replace(answer);}\n"
    "function put(id,text){var at=document.getElementById(id);\n"
    " at.textContent=text===undefined?'':text;\n"
    " (at.closest('dl div')||at).hidden=text===undefined;}\n"
    "function when(id,time){"
    "put(id,time&&new Date(time).toLocaleString());}\n"
    "function show(status){\n"
    " var paused=status.reason==='paused';\n"
    " main.dataset.state=paused?'paused':status.state;\n"
    " put('state',status.state);\n"
    " put('reason',paused?undefined:status.reason);\n"
    " put('position',status.position);\n"
    " put('why',status.paused_why);\n"
    " when('since',status.paused_since);\n"
    " when('submitted',status.submitted);\n"
    " when('started',status.started);}\n"
    "function text(bytes,type){\n"
    " var charset=/charset\\s*=\\s*[\"']?([\\w.:-]+)/i,\n"
    "  top=new TextDecoder('latin1').decode(bytes.slice(0,1024)),\n"
    "  said=charset.exec(type)||charset.exec(top);\n"
    " try{return new TextDecoder(said?said[1]:'utf-8',{fatal:!said})"
    ".decode(bytes);}\n"
    " catch(e){return new TextDecoder('windows-1252').decode(bytes);}}\n"
    "function take(r){\n"
    " var type=r.headers.get('Content-Type')||'';\n"
    " if(over)return;\n"
    " if(!r.headers.has('Cloakroom-Ticket')&&"
    "(r.status===202||r.status===503))return later(listen,2);\n"
    " if(main.dataset.place!=='here'||r.type==='opaqueredirect'||"
    "!/^text\\/html\\b/i.test(type)||['Content-Security-Policy',"
    "'Content-Disposition','Refresh'].some(function(name){"
    "return r.headers.has(name);}))return go();\n"
    " return r.arrayBuffer().then(function(bytes){end();\n"
    "  document.open();document.write(text(bytes,type));"
    "document.close();});}\n"
    "function look(){fetch(answer,{redirect:'manual',cache:'no-store'})"
    ".then(take).catch(function(){if(!over)later(look,5);});}\n"
    "function listen(){\n"
    " if(document.hidden)return later(look,15);\n"
    " stream=new EventSource(path+'/events');\n"
    " stream.addEventListener('status',function(e){"
    "show(JSON.parse(e.data));});\n"
    " stream.addEventListener('end',function(){stop();look();});\n"
    " stream.onerror=function(){if(stream&&stream.readyState===2)"
    "{stop();later(look,5);}};}\n"
    "if(!window.EventSource||!window.fetch||!window.TextDecoder)"
    "return later(go,5);\n"
    "document.addEventListener('visibilitychange',function(){"
    "if(!over){stop();listen();}});\n"
    "listen();})();\n";

/* ---- the facts ---- */

static void
add_row(struct text *text, const char *id, const char *label, const char *value)
{
    text_add(text,
             value[0] == '\0' ? SLICE("<div hidden><dt>") : SLICE("<div><dt>"));
    text_add(text, slice_of(label));
    text_add(text, SLICE("</dt><dd id=\""));
    text_add(text, slice_of(id));
    text_add(text, SLICE("\">"));
    text_add_html(text, slice_of(value));
    text_add(text, SLICE("</dd></div>\n"));
}

/* "2026-11-22 07:41 UTC"; the script writes it as the reader is used to. */
static void
add_time_row(struct text *text, const char *id, const char *label, wall_ms t)
{
    char time[CLOCK_TEXT_SIZE], value[32] = "";

    clock_format(t, time);
    if (t != 0)
        snprintf(value, sizeof(value), "%.10s %.5s UTC", time, time + 11);
    add_row(text, id, label, value);
}

static void
add_facts(struct text *text, const struct ticket_status *status)
{
    bool is_paused = status_is_paused(status);
    char position[24] = "";

    if (status->position >= 0)
        snprintf(position, sizeof(position), "%lld",
                 (long long)status->position);
    text_add(text, SLICE("<dl>\n"));
    add_row(text, "state", "State", ticket_state_word(status->state));
    add_row(text, "reason", "Because", is_paused ? "" : status->reason);
    add_row(text, "position", "Ahead of it", position);
    add_time_row(text, "since", "Paused since",
                 is_paused ? status->paused_since : 0);
    add_time_row(text, "submitted", "Sent", status->submitted);
    add_time_row(text, "started", "Begun", status->started);
}

static void
add_why(struct text *text, const struct ticket_status *status)
{
    bool is_said = status_is_paused(status) && status->paused_why[0] != '\0';

    text_add(text, is_said ? SLICE("<blockquote id=\"why\" class=\"paused\">")
                           : SLICE("<blockquote id=\"why\" class=\"paused\" "
                                   "hidden>"));
    if (is_said)
        text_add_html(text, slice_of(status->paused_why));
    text_add(text, SLICE("</blockquote>\n"));
}

/* ---- the page ---- */

static void
add_head(struct text *text, const struct page *page, struct slice name)
{
    text_add(text, SLICE("<!doctype html>\n<html lang=\"en\">\n<head>\n"
                         "<meta charset=\"utf-8\">\n"
                         "<meta name=\"viewport\" "
                         "content=\"width=device-width, initial-scale=1\">\n"
                         "<meta name=\"robots\" content=\"noindex\">\n"
                         "<link rel=\"icon\" href=\"data:,\">\n"
                         "<noscript><meta http-equiv=\"refresh\" content=\""));
    text_add_number(text, page->refresh);
    text_add(text, SLICE("; url=/-/tickets/"));
    text_add(text, name);
    text_add(text, SLICE("/response\"></noscript>\n"
                         "<title>Your request is kept</title>\n<style>"));
    text_add(text, slice_of(style));
    text_add(text, SLICE("</style>\n</head>\n"));
}

void
page_write(struct text *text, const struct page *page)
{
    const struct ticket_status *status = page->status;
    char formatted[TICKET_TEXT + 1];
    struct slice name = {formatted, TICKET_TEXT};

    ticket_format(page->ticket, formatted);
    add_head(text, page, name);
    text_add(text, SLICE("<body>\n<main data-ticket=\""));
    text_add(text, name);
    text_add(text,
             page->is_in_place ? SLICE("\" data-place=\"here") : SLICE(""));
    text_add(text, SLICE("\" data-state=\""));
    text_add(text, status_is_paused(status)
                       ? SLICE("paused")
                       : slice_of(ticket_state_word(status->state)));
    text_add(text,
             SLICE("\">\n<div id=\"bar\"><i></i></div>\n"
                   "<h1 aria-live=\"polite\">"
                   "<span class=\"queued\">Your request waits for its turn"
                   "</span>"
                   "<span class=\"paused\">Your request waits: work is paused"
                   "</span>"
                   "<span class=\"running\">Your request is being worked on"
                   "</span></h1>\n"));
    add_why(text, status);
    text_add(text, SLICE("<p>It is kept safely. The answer will appear here by "
                         "itself; there is no need to send it again.</p>\n"));
    add_facts(text, status);
    text_add(text, SLICE("<div><dt>Ticket</dt><dd><code>"));
    text_add(text, name);
    text_add(text, SLICE("</code></dd></div>\n</dl>\n<footer>You may leave: "
                         "<a href=\"/-/tickets/"));
    text_add(text, name);
    text_add(text, SLICE("/response\">this link</a> leads to the answer."
                         "</footer>\n</main>\n<script>"));
    text_add(text, slice_of(script));
    text_add(text, SLICE("</script>\n</body>\n</html>\n"));
}

/* ---- the policy ---- */

#define HASH_TEXT                                                              \
    sodium_base64_ENCODED_LEN(crypto_hash_sha256_BYTES,                        \
                              sodium_base64_VARIANT_ORIGINAL)

static const char *
hash(const char *source, char text[HASH_TEXT])
{
    unsigned char bytes[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(bytes, (const unsigned char *)source, strlen(source));
    return sodium_bin2base64(text, HASH_TEXT, bytes, sizeof(bytes),
                             sodium_base64_VARIANT_ORIGINAL);
}

void
page_policy(char policy[PAGE_POLICY_SIZE])
{
    char of_script[HASH_TEXT], of_style[HASH_TEXT];

    snprintf(policy, PAGE_POLICY_SIZE,
             "default-src 'none'; script-src 'sha256-%s'; "
             "style-src 'sha256-%s'; connect-src 'self'; img-src data:; "
             "base-uri 'none'; "
             "form-action 'none'",
             hash(script, of_script), hash(style, of_style));
}
