/* claim.pml - claim, catch up, run: one partition of `requests` and the one of
 * `tickets` that belongs to it (docs/design.md, section 4, Kafka).
 *
 *              started, counts            response, failed
 *     QUEUED -----------------> RUNS ------------------------> ENDED
 *      |  ^  ^                  | |                             ^ ^
 *      |  |  +---- retry -------+ | over(its session)           | |
 *      |  |                       v                             | |
 *      |  +---- retry -------- ORPHAN ---- failed --------------+ |
 *      +------------------------- cancel -------------------------+
 *
 * A fact counts or not by what stands before it in the log:
 * - claim: in force until the next one, or until `over` of its session.
 * - started: counts if it names the claim in force and the ticket is QUEUED.
 * - response, failed, retry: name a run. They count from the run's own session
 *   while it RUNS, from any other while it is an ORPHAN. A retry of a ticket
 *   that was to be cancelled is its ending.
 * - over(session): an event. What of it runs becomes an ORPHAN; its claim is in
 *   force no more. It says nothing about what stands behind it.
 * - cancel: ends what is QUEUED; else it is kept for the next retry.
 *
 * What it abstracts from:
 * - A session's step is when its fact reaches the log, decided by what it had
 *   read before: a record that is long on its way is a session that reads on
 *   late. A reading goes to the log's end. A session that crashes (gone) makes
 *   no more steps, one that lapsed may go on for ever as if it knew nothing.
 * - Ownership moves at any time and its loss is noticed late; a claim decided
 *   under it may land after the successor's. Whoever owned may commit, late.
 *   The last session neither lapses nor crashes, and owns the partition last.
 * - Who reads the whole log has the verdict of the whole, by definition; so only
 *   readers from a committed position read here.
 * - The log is forgotten where nobody can read it any more, and all offsets
 *   become smaller by that: they are compared, never counted.
 * - Time, control changes, backoff, `expired` (a cancel that keeps no flag), and
 *   ingresses that decide orphans (an owner that does it late).
 *
 * -DNS=N sessions (2, 3); -DNR=N requests (1, 2); -DREPEATABLE: the request may
 * be repeated: its handler starts with `started`, and there are two attempts.
 * -DMOVES=N: so often a former owner is given the partition again.
 * -DCLAIMS=N: claims of a session that does not know that it lost it.
 * -DCOMMITS=N of each session; -DOVERS=N: so often `over` is written for each.
 * -DNO_CLIENT: nobody cancels. -DDUP: the one ticket may have another copy, with
 * a request of another ticket, which is slow, between the two.
 * -DNO_... and others: without one of the rules; see models/README.md.
 */
#ifndef NS
#define NS 2
#endif
#ifndef NR
#define NR 1
#endif
#ifndef MOVES
#define MOVES 0
#endif
#ifndef CLAIMS
#define CLAIMS 1
#endif
#ifndef COMMITS
#define COMMITS 1
#endif
#ifndef OVERS
#define OVERS 1
#endif
#ifdef REPEATABLE
#define ATTEMPTS 2
#else
#define ATTEMPTS 1
#endif
#define LMAX 24
#define NONE 255
#define ALL NS
#define LAST (NS - 1)
mtype:kind = { CLAIM, STARTED, RESPONSE, FAILED, RETRY, OVER, CANCEL };
typedef fact { mtype:kind kind; byte s; byte r; byte claim; byte id; byte off };
fact log[LMAX];
byte top = 1;

mtype:is = { QUEUED, RUNS, ORPHAN, ENDED };
typedef ticket {
	mtype:is is;
	byte id;      /* of its run */
	byte by;      /* and whose that is */
	byte tries;   /* attempts that count */
	bool cancel;  /* when the run is over */
	byte first;   /* the newest claim at its first fact */
	byte how;     /* which run ended it; 1: a cancel */
};
typedef view {            /* what a reader knows */
	byte claim;   /* in force */
	byte by;
	byte newest;  /* in force or not */
#ifdef OVER_IS_STATE
	byte over;
#endif
	ticket t[NR];
};
view v[NS + 1];        /* by session; ALL: of the whole log */

mtype:phase = { OUT, CLAIMED, IN };
mtype:does = { IDLE, LANDED, RUNNING, ANSWERED, TOLD };
typedef sess {
	mtype:phase phase;
	byte my;               /* claim */
	byte low;              /* the watermark that it started from */
	byte pos;              /* reads here next */
	byte claims, commits;
	mtype:does does[NR];
	byte id[NR];           /* of its run */
	byte tries[NR];
	byte decided[NR];      /* the orphaned run */
	bool was[NR];          /* ended before its claim */
	bool late[NR];         /* so was what it runs */
	bool counted[NR];      /* the run's `started` */
	bool mortal, gone;
	bool lapsed;           /* killed by its spawner, which starts no more */
	bool knows;            /* it read on after that */
	bool out;              /* `control` says so */
	byte overs;
};
sess s[NS];
byte owner;
#ifdef DUP
bool copied, settled;
#define KNOWN(from) (log[p].kind == CANCEL || log[p].off >= from)
#define BELOW(q, from) (from == 2 || (from == 1 && !copied))
#define OFFSET (s[i].low == 0 -> 0 : 1)
#define HAS(n) (s[i].low == 0 || (s[i].low == 1 && copied))
#else
#define KNOWN(from) (q >= from)
#define BELOW(q, from) (q < from)
#define OFFSET 0
#define HAS(n) (n >= s[i].low)
#endif
byte low, position;    /* the commit; 0: from the beginning */
bool begun[NR];        /* a handler, once */
hidden byte q, p, a, b;

/* The promises, so that a broken one is named by its assertion. */
hidden byte same_verdict, run_counts, runs_alone, runs_once, runs_before_ending,
	counted_out_is_out, nothing_lost, cancelled_stays;

#define T v[k].t[q]
inline clear_view(k) {
	v[k].claim = NONE; v[k].by = 0; v[k].newest = NONE;
	for (q : 0 .. NR - 1) {
		v[k].t[q].is = QUEUED; v[k].t[q].id = 0; v[k].t[q].by = 0;
		v[k].t[q].tries = 0;
		v[k].t[q].cancel = false; v[k].t[q].first = NONE; v[k].t[q].how = 0;
	}
#ifdef OVER_IS_STATE
	v[k].over = 0;
#endif
	q = 0;
}

inline copy_view(k) {
	v[k].claim = v[ALL].claim; v[k].by = v[ALL].by; v[k].newest = v[ALL].newest;
#ifdef OVER_IS_STATE
	v[k].over = v[ALL].over;
#endif
	for (q : 0 .. NR - 1) {
		T.is = v[ALL].t[q].is; T.id = v[ALL].t[q].id;
		T.by = v[ALL].t[q].by; T.tries = v[ALL].t[q].tries;
		T.cancel = v[ALL].t[q].cancel; T.first = v[ALL].t[q].first;
		T.how = v[ALL].t[q].how;
	}
	q = 0
}

inline touch(k) {
	if
	:: T.first == NONE ->
#ifdef POSITION_FACT
		T.first = p;
#else
		T.first = (v[k].newest == NONE -> 0 : v[k].newest);
#endif
	:: else
	fi
}
inline end_it(k) { T.is = ENDED;
T.how = (log[p].kind == CANCEL -> 1 : log[p].id); T.id = 0; T.by = 0;
T.cancel = false; T.tries = 0; }

#ifdef OVER_IS_STATE
#define NOT_OVER(k) (!(v[k].over & (1 << log[p].s)))
#else
#define NOT_OVER(k) true
#endif
#ifdef NO_FENCE
#define IN_FORCE(k) true
#else
#define IN_FORCE(k) (log[p].claim == v[k].claim && v[k].claim != NONE)
#endif
#ifdef NO_NAME
#define NAMES(k) true
#else
#define NAMES(k) (T.id == log[p].id)
#endif
#ifdef OWN_AFTER_OVER
#define SAYS(k) true
#elif defined(ANYBODY)
#define SAYS(k) (T.is == RUNS || T.by != log[p].s)
#else
#define SAYS(k) ((T.is == RUNS && T.by == log[p].s) || (T.is == ORPHAN && \
	T.by != log[p].s))
#endif

inline fold(k, from) {
	q = log[p].r;
	if
	:: log[p].kind == CLAIM && NOT_OVER(k) ->
		v[k].claim = p; v[k].by = log[p].s; v[k].newest = p;
	:: log[p].kind == OVER ->
#ifdef OVER_IS_STATE
		v[k].over = v[k].over | (1 << log[p].s);
#else
		if
		:: v[k].claim != NONE && v[k].by == log[p].s ->
#ifndef NO_REVOKE
			v[k].claim = NONE; v[k].by = 0;
#endif
		:: else
		fi;
#endif
		for (q : 0 .. NR - 1) {
			if
			:: T.is == RUNS && T.by == log[p].s -> T.is = ORPHAN;
			:: else
			fi
		}
	:: log[p].kind == STARTED && KNOWN(from) && IN_FORCE(k) &&
		NOT_OVER(k) && T.is == QUEUED ->
		touch(k);
		T.is = RUNS; T.id = log[p].id; T.by = log[p].s; T.tries++;
	:: (log[p].kind == RESPONSE || log[p].kind == FAILED) && KNOWN(from) &&
		(T.is == RUNS || T.is == ORPHAN) && NAMES(k) && SAYS(k) ->
		end_it(k);
	:: log[p].kind == RETRY && KNOWN(from) &&
		(T.is == RUNS || T.is == ORPHAN) && NAMES(k) && SAYS(k) ->
		if
#ifndef NO_CANCEL_AT_RETRY
		:: T.cancel -> end_it(k);
#endif
		:: else ->
			T.is = QUEUED; T.id = 0; T.by = 0;
			if
			:: log[p].claim == 0 -> T.tries--;   /* not counted */
			:: else
			fi
		fi
	:: log[p].kind == CANCEL && KNOWN(from) && T.is != ENDED ->
		touch(k);
		if
		:: T.is == QUEUED -> end_it(k);
		:: else -> T.cancel = true;
		fi
	:: else
	fi;
	q = 0
}

/* A fact reaches the log. */
inline append(f_kind, f_by, f_r, f_claim, f_id) {
	assert(top < LMAX);
	log[top].kind = f_kind; log[top].s = f_by; log[top].r = f_r;
	log[top].claim = f_claim; log[top].id = f_id;
#ifdef DUP
	log[top].off = (f_kind == CANCEL || f_kind == CLAIM ||
		f_kind == OVER -> 0 : (s[f_by].low == 0 -> 0 : 1));
#endif
	p = top;
	top++;
	a = v[ALL].t[f_r].is;
	fold(ALL, 0);
	if
	:: f_kind == STARTED && a == QUEUED && v[ALL].t[f_r].is == RUNS ->
		cancelled_stays = !v[ALL].t[f_r].cancel;
		assert(cancelled_stays);
		s[f_by].counted[f_r] = true;
		for (b : 0 .. NS - 1) {
			runs_alone = (b == f_by ||
				!(s[b].does[f_r] == RUNNING && s[b].counted[f_r]));
			assert(runs_alone);
		}
		b = 0;
	:: (f_kind == RESPONSE) && a != ENDED && v[ALL].t[f_r].is == ENDED ->
		counted_out_is_out = !s[f_by].out;
		assert(counted_out_is_out);
	:: else
	fi;
	a = 0; p = 0;
	forget();
}

/* The log's first fact is kept as long as a claim there is in force, or somebody
 * reads from there or may yet commit that position. */
#define STARTS(k) (v[k].newest == 1 || v[k].t[0].first == 1 || \
		   v[k].t[NR - 1].first == 1)
#define COMMITS_YET(k) (s[k].commits < COMMITS)
#define HELD(k) \
	(v[k].claim == 1 || \
	 (COMMITS_YET(k) && STARTS(ALL)) || \
	 (s[k].pos != NONE && (s[k].pos == 1 || s[k].my == 1 || \
			       (COMMITS_YET(k) && STARTS(k)))))
#define DOWN(x) x = (x == NONE || x == 0 -> x : x - 1)

inline forget() {
	do
	:: top > 1 && position != 1 && v[ALL].claim != 1 &&
	   !HELD(0) && !HELD(1) && !HELD(LAST) ->
		for (p : 1 .. top - 1) {
			if
			:: p < top - 1 ->
				log[p].kind = log[p + 1].kind;
				log[p].s = log[p + 1].s; log[p].r = log[p + 1].r;
				log[p].claim = log[p + 1].claim;
				log[p].id = log[p + 1].id;
				log[p].off = log[p + 1].off;
				if
				:: log[p].kind == STARTED -> DOWN(log[p].claim)
				:: else
				fi
			:: else ->
				log[p].kind = 0; log[p].s = 0; log[p].r = 0;
				log[p].claim = 0; log[p].id = 0; log[p].off = 0
			fi
		}
		top--;
		DOWN(position);
		for (p : 0 .. NS - 1) {
			DOWN(s[p].pos); DOWN(s[p].my);
		}
		for (p : 0 .. NS) {
			DOWN(v[p].claim); DOWN(v[p].newest);
			for (q : 0 .. NR - 1) { DOWN(v[p].t[q].first); }
		}
		p = 0; q = 0
	:: else -> break
	od;
	p = 0
}

inline compare(k, from) {
	same_verdict = (v[k].claim == v[ALL].claim);
	assert(same_verdict);
	for (q : 0 .. NR - 1) {
		same_verdict = (BELOW(q, from) || (T.is == v[ALL].t[q].is &&
			T.id == v[ALL].t[q].id && T.by == v[ALL].t[q].by &&
				T.tries == v[ALL].t[q].tries &&
					T.cancel == v[ALL].t[q].cancel &&
						T.how == v[ALL].t[q].how));
		assert(same_verdict);
	}
	q = 0
}

inline tidy() {
	for (q : 0 .. NR - 1) {
		if
		:: s[i].does[q] == IDLE ->
			s[i].id[q] = 0; s[i].tries[q] = 0;
			s[i].counted[q] = false; s[i].late[q] = false;
		:: else
		fi
	}
	q = 0;
	if
	:: s[i].phase == OUT && (s[i].gone || (s[i].does[0] == IDLE &&
		s[i].does[NR - 1] == IDLE)) ->
		clear_view(i); s[i].pos = NONE; s[i].low = 0; s[i].my = NONE;
		for (q : 0 .. NR - 1) { s[i].was[q] = false } q = 0;
	:: else
	fi;
	forget();
}

#ifdef NO_FINAL
#define SPAWNS true
#else
#define SPAWNS (!s[i].lapsed)
#endif
#ifdef NO_LEASE_CHECK
#define LEASE true
#else
#define LEASE (!s[i].knows)
#endif
#define MINE(n) (v[i].t[n].is == RUNS && v[i].t[n].id == s[i].id[n])
#ifdef NO_READ_BACK
#define CONFIRMED(n) true
#else
#define CONFIRMED(n) MINE(n)
#endif

#ifdef COMMIT_ON_ACK
#define DONE_WITH(n) (v[i].t[n].is == ENDED || s[i].does[n] == TOLD)
#else
#define DONE_WITH(n) (v[i].t[n].is == ENDED)
#endif

#ifdef NO_SETTLE
#define UNSETTLED true
#else
#define UNSETTLED false
#endif
#ifdef SPLIT
#define BETWEEN true
#else
#define BETWEEN false
#endif
inline commit() {
	s[i].commits++;
	a = s[i].low;
#ifdef DUP
	if
	:: DONE_WITH(0) && (settled || UNSETTLED) ->
		a = (!copied || BETWEEN && a == 0 -> 1 : 2)
	:: else
	fi;
#else
	do
	:: a < NR && DONE_WITH(a) -> a++
	:: else -> break
	od;
#endif
#ifdef POSITION_READ
	b = s[i].pos;
#else
	b = (v[i].newest == NONE -> 0 : v[i].newest);
	for (q : 0 .. NR - 1) {
		if
		:: !BELOW(q, a) && v[i].t[q].first < b -> b = v[i].t[q].first
		:: else
		fi
	}
#endif
	low = a; position = b;
	a = 0; b = 0; q = 0;
	forget();
}

inline read_on() {
	p = s[i].pos;
	s[i].knows = s[i].lapsed;
	do
	:: p < top -> fold(i, s[i].low); p++
	:: else -> break
	od;
	s[i].pos = p;
	p = 0;
	compare(i, s[i].low);
	if
	:: s[i].phase == CLAIMED && s[i].pos > s[i].my -> s[i].phase = IN
	:: else
	fi;
	for (q : 0 .. NR - 1) {
		if
		:: s[i].decided[q] != v[i].t[q].id -> s[i].decided[q] = 0
		:: else
		fi;
		if
		:: (s[i].does[q] == LANDED || s[i].does[q] == RUNNING ||
			s[i].does[q] == TOLD) && !MINE(q) ->
			s[i].does[q] = IDLE
		:: else
		fi
	}
	q = 0
}

inline begin_run(n) {
#ifndef REPEATABLE
	run_counts = (v[ALL].t[n].is == RUNS && v[ALL].t[n].id == s[i].id[n]);
	assert(run_counts);
	for (b : 0 .. NS - 1) {
		runs_alone = (b == i || s[b].does[n] != RUNNING);
		assert(runs_alone);
	}
	b = 0;
	runs_once = !begun[n];
	assert(runs_once);
	begun[n] = true;
#endif
	runs_before_ending = !s[i].late[n];
	assert(runs_before_ending);
	s[i].does[n] = RUNNING;
}

#define USES(k, n) (v[k].t[n].id == a || v[k].t[n].how == a)
#define DOES(k, n) (s[k].id[n] == a || s[k].decided[n] == a)
inline fresh(n) { /* the smallest that nothing mentions */
	a = (i + 1) * 16;
	do
	:: a++;
		b = USES(0, 0) || USES(0, NR - 1) || USES(1, 0) ||
			USES(1, NR - 1) || USES(LAST, 0) || USES(LAST, NR - 1) ||
		    USES(ALL, 0) || USES(ALL, NR - 1) || DOES(0, 0) ||
		    	DOES(0, NR - 1) || DOES(1, 0) || DOES(1, NR - 1) ||
		    		DOES(LAST, 0) || DOES(LAST, NR - 1);
		for (p : 1 .. top - 1) { b = (b || log[p].id == a) }
		if
		:: !b -> break
		:: else
		fi
	od;
	s[i].id[n] = a;
	a = 0; b = 0; p = 0
}

inline decide(n) { /* an orphan */
	if
	:: v[i].t[n].tries < ATTEMPTS -> append(RETRY, i, n, 1, v[i].t[n].id)
	:: else -> append(FAILED, i, n, 0, v[i].t[n].id)
	fi
}

#ifdef REPEATABLE
#define AT_ONCE(n) if \
		:: SPAWNS -> begin_run(n) \
		:: else \
		fi
#else
#define AT_ONCE(n) skip
#endif
#ifdef NO_GIVE_BACK /* who is superseded starts nothing more, and says nothing */
#define GIVES_BACK false
#define STILL_MAY (s[i].phase == IN && v[i].claim == s[i].my)
#else
#define STILL_MAY true
#define GIVES_BACK true
#endif

/* A step of the worker is when its fact reaches the log. */
#define WORK(n) \
	:: d_step { LIVES && s[i].phase == IN && v[i].claim == s[i].my && \
		LEASE && HAS(n) && \
		    v[i].t[n].is == QUEUED && s[i].does[n] == IDLE -> \
		fresh(n); s[i].late[n] = s[i].was[n]; \
		s[i].tries[n] = v[i].t[n].tries + 1; s[i].does[n] = LANDED; \
		append(STARTED, i, n, s[i].my, s[i].id[n]); \
		AT_ONCE(n) } \
	:: d_step { LIVES && s[i].does[n] == LANDED && CONFIRMED(n) && SPAWNS && \
		STILL_MAY -> begin_run(n) } \
	:: d_step { LIVES && GIVES_BACK && s[i].does[n] == LANDED && MINE(n) && \
		    (s[i].phase == OUT || v[i].claim != s[i].my) -> \
		append(RETRY, i, n, 0, s[i].id[n]); s[i].does[n] = TOLD } \
	:: d_step { s[i].does[n] == RUNNING -> \
		if \
		:: LIVES -> s[i].does[n] = ANSWERED \
		:: else -> s[i].does[n] = IDLE; tidy() \
		fi } \
	:: d_step { LIVES && s[i].does[n] == ANSWERED -> \
		append(RESPONSE, i, n, 0, s[i].id[n]); s[i].does[n] = TOLD } \
	:: d_step { LIVES && s[i].does[n] == ANSWERED && \
		s[i].tries[n] < ATTEMPTS -> \
		append(RETRY, i, n, 1, s[i].id[n]); s[i].does[n] = TOLD } \
	:: d_step { LIVES && s[i].phase == IN && v[i].t[n].is == ORPHAN && \
		s[i].decided[n] != v[i].t[n].id -> \
		s[i].decided[n] = v[i].t[n].id; decide(n) }

#define LIVES (!s[i].gone)
inline claim_it() {
	s[i].my = top; s[i].phase = CLAIMED;
	for (q : 0 .. NR - 1) { s[i].was[q] = (v[ALL].t[q].is == ENDED) }
	q = 0;
	append(CLAIM, i, 0, 0, 0);
#ifdef NO_CATCH_UP
	s[i].phase = IN; v[i].claim = s[i].my; v[i].by = i;
#endif
}
proctype session(byte i) {
end:	do
	:: atomic { LIVES && s[i].pos < top ->
		d_step { read_on() }
		if
		:: d_step { s[i].commits < COMMITS -> commit(); tidy() }
		:: d_step { tidy() }
		fi }
	:: d_step { LIVES && s[i].phase == OUT && (owner == i || owner > i &&
		s[i].claims < CLAIMS) ->
		s[i].claims = s[i].claims + (owner != i);
		s[i].low = low; s[i].pos = position;
		if
		:: position != 0 -> clear_view(i)
		:: else ->
			s[i].pos = top;
			copy_view(i) /* the whole log gives the verdict,
				by definition */
		fi;
		claim_it() }
#ifndef NO_RECLAIM
	:: d_step { LIVES && s[i].phase == IN && v[i].claim != s[i].my &&
		(owner == i || s[i].claims < CLAIMS) ->
		if
		:: owner != i -> s[i].claims++
		:: else
		fi;
		claim_it() }
#endif
	:: d_step { LIVES && owner != i && s[i].phase != OUT ->
		s[i].phase = OUT; tidy() }
	WORK(0)
#if NR > 1
	WORK(1)
#endif
	/* it crashes; a handler that runs goes on for a while */
	:: d_step { LIVES && s[i].mortal ->
		s[i].gone = true;
		for (q : 0 .. NR - 1) {
			s[i].does[q] = (s[i].does[q] == RUNNING -> RUNNING : IDLE);
			s[i].decided[q] = 0
		}
		q = 0;
		s[i].phase = OUT;
		s[i].commits = COMMITS; s[i].claims = CLAIMS; s[i].knows = false;
		tidy() }
	/* its spawner and its lease */
	:: d_step { s[i].mortal && !s[i].lapsed ->
		s[i].lapsed = true;
#ifndef NO_KILL
		for (q : 0 .. NR - 1) {
			if
			:: s[i].does[q] == RUNNING && s[i].gone -> s[i].does[q] = IDLE
			:: s[i].does[q] == RUNNING && LIVES -> s[i].does[q] = TOLD
			:: else
			fi
		}
		q = 0;
		tidy()
#endif
		}
#ifdef EARLY_OVER
#define ENDED_LEASE s[i].mortal
#else
#define ENDED_LEASE s[i].lapsed
#endif
	:: d_step { ENDED_LEASE && s[i].overs < OVERS ->
		s[i].overs++; append(OVER, i, 0, 0, 0);
#ifndef LAPSED_FIRST
		s[i].out = true
#endif
		}
#ifdef LAPSED_FIRST
	:: d_step { ENDED_LEASE && !s[i].out -> s[i].out = true }
#endif
	od
}

proctype client() {
	if
	:: d_step { append(CANCEL, NONE, NR - 1, 0, 0) }
	:: skip
	fi
}

#ifdef DUP
proctype copier() {
	if
	:: d_step { copied = true; settled = true }
	:: d_step { settled = true }
	fi
}
#endif

proctype coordinator() {
	byte moves;
	do
	:: atomic { owner < LAST -> owner++ }
	:: atomic { owner > 0 && moves < MOVES -> owner--; moves++ }
	:: owner == LAST -> moves = 0; break
	od
}

proctype auditor() {
	bool break_off;
	atomic { timeout;
		for (q : 0 .. NR - 1) {
			nothing_lost = (v[ALL].t[q].is == ENDED);
			assert(nothing_lost);
		}
		if
		:: position == 0 -> break_off = true
		:: else
		fi;
		clear_view(0);
		p = position;
		do
		:: !break_off && p < top -> fold(0, low); p++
		:: else -> break
		od;
		if
		:: !break_off -> compare(0, low)
		:: else
		fi
	}
}

init {
	byte i;
	atomic {
		clear_view(ALL);
		for (i : 0 .. NS - 1) {
			clear_view(i);
			s[i].phase = OUT; s[i].my = NONE; s[i].pos = NONE;
			for (q : 0 .. NR - 1) { s[i].does[q] = IDLE; }
			if
			:: skip
			:: i != LAST -> s[i].mortal = true
			fi;
			run session(i);
		}
		i = 0;
#ifndef NO_CLIENT
		run client();
#endif
#ifdef DUP
		run copier();
#endif
		run coordinator(); run auditor();
	}
}
