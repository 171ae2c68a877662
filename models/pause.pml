/* pause.pml - pause, drain and change of release: one queue, its sessions, and
 * whoever gives commands (docs/design.md, sections 2 and 5).
 *
 *            pause                 no member is left
 *     OPEN ---------> PAUSED ----------------------------> DRAINED
 *       ^                |                                  |  ^ |
 *       | resume, same   |                            probe |  | | resume,
 *       | release        |                                  v  | | any release
 *       +----------------+                               PROBING |
 *       +--------------------------------------------------------+
 *
 * What it abstracts from:
 * - A session is one life of a worker: a restart, also with another release, is
 *   another session that says hello later. It has one slot.
 * - Time. SIGSTOP is any delay between two steps of a worker. The clock of a
 *   session's spawner may run down at any time; the margin is that a session is
 *   counted out only after that. It is assumed that a spawner runs whatever is
 *   done to its worker, and that starting a handler is an act of the spawner.
 * - Requests. An attempt is taken, runs, has an answer, and ends. Whose request
 *   it is, retries and limits are not here. A killed handler (pause --kill, a
 *   timeout) is one that ends early.
 * - Commands. A change is compare-and-set, so reading and writing are one step:
 *   one that was overtaken would change nothing. They may be given by anybody
 *   at any time and in any order; an upgrade is its steps, so its death and its
 *   taking over are a delay between two of them. Force is not modelled.
 * - Kafka's control log is an array of what each epoch changed to. That a worker
 *   has read heartbeats to their end is assumed where a member is looked at.
 *
 * -DKAFKA: a worker knows the log as far as it has read it; else (embedded) a
 * take reads the control state in its own transaction.
 * -DREMOTE: handlers run elsewhere and cannot be killed.
 * -DLIVE: attempts are bounded, and a session says at its hello whether it may
 * crash, stall or leave. Then every run is finite, and an invalid end state is
 * somebody who waits for ever.
 * -DLAST=N: how many changes there are at most; -DWORKERS=N (2, 3): sessions of
 * workers; -DNO_PROBE: nobody probes.
 * -DBREAK=RULE: without that rule; models/README.md says what breaks.
 */
#define NO_RULE      0
#define FINAL        1  /* after its lapse a spawner starts nothing */
#define KILL         2  /* at its lapse it kills */
#define MARGIN       3  /* counted out only after the spawner's lapse */
#define DIED         4  /* the same where the worker is known to be dead */
#define TIMEOUT      5  /* a remote handler's time is over before that, too */
#define IDLE_TAKEN   6  /* what is taken and not started is no idleness */
#define IDLE_RUNNING 7  /* nor is what runs */
#define IDLE_LEAVE   8  /* a goodbye is said by who is idle */
#define SAME_EPOCH   9  /* an acknowledgement is of the barrier's epoch */
#define SESSION      10 /* members are sessions, not workers' names */
#define HELLO        11 /* control is read at or after the hello */
#define IN_TAKE      12 /* embedded: and in the take's own transaction */
#define RELEASE      13 /* a worker takes for the queue's release only */
#define DRAIN_FIRST  14 /* the release changes in a drained queue only */
#define CAS          15 /* with the epoch expected */
#define DRAIN_EPOCH  16 /* drained is of its barrier's epoch */
#define PROBE_ENDS   17 /* and during a probe that is the probe's */
#define PROBE_WAITS  18 /* a resume waits for the end of a probe */
#define PROBE_HELLO  19 /* a probe's session says hello before the probe */
#define FENCE        20 /* no answer counts of who was counted out */
#define HOLD         21 /* what an upgrade holds, it alone resumes */
#define HOLD_PROBE   22 /* and lets probe when it verifies */
#define COUNT_OUT    23 /* who has lapsed is counted out */
#define BARRIER      24 /* which refuse and accept leave as it is */
#define OVERTAKEN    25 /* a waiter is told of a resume */

#ifndef BREAK
#define BREAK NO_RULE
#endif
#define RULE(name, holds) (BREAK == name || (holds))

#if defined(KAFKA) || BREAK == IN_TAKE
#define LAGS /* behind the control state */
#endif

#ifndef WORKERS
#define WORKERS 2
#endif
#define PROBE WORKERS /* its session */
#define SESSIONS (WORKERS + 1)
#ifndef LAST
#define LAST 4 /* epoch */
#endif

/* ---- the broker ----------------------------------------------------------- */

mtype:state = { OPEN, PAUSED, DRAINED, PROBING };
mtype:state state = OPEN;
mtype:step = { NONE, PAUSING, MIGRATING, VERIFYING };
mtype:step step = NONE;  /* of the upgrade that holds the queue */

byte now;                /* the queue's epoch */
byte barrier[LAST + 1];  /* by epoch: that of the pause or probe in force, or 0 */
byte release[LAST + 1];  /* by epoch: the queue's */
byte paused;             /* the epoch at which the pause in force began, or 0 */
byte probe;              /* the epoch of the probe */

mtype:attempt = { IDLE, TAKEN, RUNNING, ANSWERED };
typedef session {
	bool known;          /* it has said hello */
	bool mortal;         /* it may crash, stall or leave */
	bool dead;           /* its process is */
	bool lapsed;         /* its spawner has ended everything, for good */
	bool over;           /* it left or was counted out; its attempt is fenced */
	bool member;         /* the barrier waits for it */
	byte release;
	byte read;           /* the control log up to this epoch */
	mtype:attempt attempt;
};
session s[SESSIONS];

#define EVERY_SESSION(holds) \
	(holds(0) && holds(1) && holds(WORKERS - 1) && holds(WORKERS))
#define RUNS_NOTHING(k) (s[k].attempt != RUNNING)
#define NO_MEMBER(k)    (!s[k].member)

hidden byte n; /* for loops */

/* The promises, so that a broken one is named by its assertion. */
hidden byte P5_holds, P5_holds_at_take, P6_holds, P7_holds, migration_is_alone;

/* What may run now: after `drained` nothing, in a probe its one attempt. */
#define PERMITTED(i) (state == OPEN || state == PAUSED || \
		      (state == PROBING && i == PROBE))

#ifdef NO_PROBE
#define PROBES_TOO WORKERS
#else
#define PROBES_TOO SESSIONS
#endif
#ifdef LAGS
#define HAS_READ(k) (s[k].read > n)
#define READ_BY_ALL EVERY_SESSION(HAS_READ)
#else
#define READ_BY_ALL true
#endif

/* What no session can read any more makes no difference. */
inline forget() {
	n = 0;
	do
	:: n < now && READ_BY_ALL ->
		barrier[n] = 0;
		release[n] = 0;
		n++;
	:: else -> break;
	od;
}

/* Its arguments see the new epoch. */
inline change(to, its_barrier, its_release) {
	now++;
	state = to;
	barrier[now] = its_barrier;
	release[now] = its_release;
	forget();
}

inline record_drained() {
	P5_holds = EVERY_SESSION(RUNS_NOTHING);
	assert(P5_holds);
	state = DRAINED;
}

/* ---- a session: its worker, its spawner, and those who watch it ----------- */

#ifdef LAGS
#define SEEN s[i].read
#define PROBES (probe != 0) /* the rest of the log it may read too late */
#else
#define SEEN now
#define PROBES (state == PROBING)
#endif
#define MAY_TAKE \
	(i == PROBE -> PROBES \
		     : barrier[SEEN] == 0 && \
		       RULE(RELEASE, s[i].release == release[SEEN]))

/* A take after the lapse is left out: its handler would not be started. */
#define MAY_START RULE(FINAL, !s[i].lapsed)

/* A member by name: session 1 is taken for session 0, which it followed. */
#define MEMBER(i) (s[i].member || (BREAK == SESSION && i == 1 && s[0].member))

#define IS_IDLE (s[i].attempt == IDLE || \
		 BREAK == IDLE_RUNNING || \
		 (BREAK == IDLE_TAKEN && s[i].attempt == TAKEN))

#define COUNTS(epoch) RULE(SAME_EPOCH, \
			   epoch == (BREAK == BARRIER -> now : barrier[now]))

#ifdef REMOTE
#define ENDS_WITH_LAPSE false
#define TIMED_OUT RULE(TIMEOUT, s[i].attempt != RUNNING)
#else
#define ENDS_WITH_LAPSE (BREAK != KILL)
#define TIMED_OUT true
#endif

#ifdef LIVE
#define ONE_TAKE true
#else
#define ONE_TAKE (i == PROBE)
#endif

#define RUNS_NO_OTHER_RELEASE(k) \
	(RUNS_NOTHING(k) || s[k].release == s[i].release)

inline start_handler() {
	P5_holds = PERMITTED(i);
	assert(P5_holds);
	P6_holds = EVERY_SESSION(RUNS_NO_OTHER_RELEASE);
	assert(P6_holds);
	migration_is_alone = (step != MIGRATING);
	assert(migration_is_alone);
	s[i].attempt = RUNNING;
}

inline store_answer() {
	if
	:: RULE(FENCE, !s[i].over) ->
		P7_holds = (!s[i].over && PERMITTED(i));
		assert(P7_holds);
	:: else
	fi;
	s[i].attempt = IDLE;
}

/* All of them in one loop, as they make their steps in any order. A worker that
 * is stopped is one that makes none for a while. */
proctype worker(byte i) {
	byte acknowledges; /* a barrier's epoch, on its way to the broker; or 0 */
	bool took;

end_not_yet:
#if BREAK == HELLO
	s[i].read = now;
end_too_early:
#endif
	atomic {
		(i == PROBE -> state == DRAINED || state == PROBING
			    : i == 0 || s[i - 1].known);
		s[i].attempt = IDLE;
		if
		:: s[i].release = 1
		:: s[i].release = 2
		fi;
#ifdef LIVE
		if
		:: s[i].mortal = true
		:: skip
		fi;
#else
		s[i].mortal = true;
#endif
#if defined(LAGS) && BREAK != HELLO
		s[i].read = (i == PROBE -> LAST : now);
#endif
		s[i].known = true;
	}
end:	do
	/* The worker. */
#ifdef LAGS
	:: atomic { !s[i].dead && s[i].read < now -> s[i].read++; forget(); }
#endif
	:: atomic {
		!s[i].dead && s[i].attempt == IDLE && MAY_START && !took &&
		MAY_TAKE ->
		took = ONE_TAKE;
#ifndef KAFKA
		P5_holds_at_take = (PERMITTED(i) && state != PAUSED);
		assert(P5_holds_at_take);
#endif
		s[i].attempt = TAKEN;
	}
	:: atomic {
		!s[i].dead && s[i].attempt == TAKEN ->
		if
		:: MAY_START -> start_handler();
		:: else -> s[i].attempt = IDLE;
		fi;
	}
	:: atomic { !s[i].dead && s[i].attempt == ANSWERED -> store_answer(); }
	:: atomic { /* one that could not count any more is not said at all */
		i != PROBE && !s[i].dead && acknowledges == 0 &&
		MEMBER(i) && IS_IDLE && barrier[SEEN] != 0 &&
		barrier[SEEN] == barrier[now] && COUNTS(barrier[now]) ->
		acknowledges = barrier[now];
	}
	:: atomic {
		!s[i].dead && acknowledges != 0 ->
		if
		:: COUNTS(acknowledges) ->
			s[i].member = false;
			if
			:: BREAK == SESSION && i == 1 -> s[0].member = false;
			:: else
			fi;
		:: else
		fi;
		acknowledges = 0;
	}
	:: atomic { /* goodbye */
		(s[i].mortal || i == PROBE) && !s[i].dead && !s[i].over &&
		acknowledges == 0 &&
		RULE(IDLE_LEAVE, s[i].attempt == IDLE) ->
		s[i].over = true;
		s[i].member = false;
		s[i].dead = (s[i].attempt == IDLE);
	}
	:: atomic { /* a crash; a handler that runs goes on for a while */
		s[i].mortal && !s[i].dead ->
		s[i].dead = true;
		acknowledges = 0;
		if
		:: s[i].attempt != RUNNING ->
			s[i].attempt = IDLE;
			s[i].lapsed = true; /* nothing there to be killed */
		:: else
		fi;
	}

	/* Its handler ends, with an answer or without. */
	:: atomic {
		s[i].attempt == RUNNING ->
		if
		:: !s[i].dead -> s[i].attempt = ANSWERED;
		:: s[i].attempt = IDLE;
		fi;
	}

	/* Its spawner is not wound, or sees the worker's end. */
	:: atomic {
		s[i].mortal && !s[i].lapsed && !s[i].over ->
		s[i].lapsed = true;
		if
		:: ENDS_WITH_LAPSE && s[i].attempt == RUNNING ->
			s[i].attempt = IDLE;
		:: else
		fi;
	}

	/* Whoever sweeps: counts it out, and fences it in the same step. */
	:: atomic {
		BREAK != COUNT_OUT && s[i].mortal && !s[i].over && TIMED_OUT &&
		(RULE(MARGIN, s[i].lapsed) || (BREAK == DIED && s[i].dead)) ->
		s[i].over = true;
		s[i].member = false;
	}
	:: atomic { /* nothing of it is left: forget it */
		s[i].over && s[i].attempt == IDLE && acknowledges == 0 &&
		(s[i].dead || s[i].lapsed && BREAK != FINAL) ->
		s[i].dead = true;
		s[i].lapsed = false;
		s[i].release = 0;
		s[i].read = LAST;
		took = false;
		forget();
		break;
	}
	od
}

/* ---- drained is recorded by whoever sees it ------------------------------- */

#define IS_DRAINING (state == PAUSED || state == PROBING)
#define DRAINS (IS_DRAINING && EVERY_SESSION(NO_MEMBER))
#define RECORD_COUNTS \
	(IS_DRAINING && (e == barrier[now] || BREAK == DRAIN_EPOCH || \
			 (BREAK == PROBE_ENDS && e == paused)))

proctype recorder() {
	byte e;

end:	do
#ifndef KAFKA
	:: atomic { DRAINS -> record_drained(); }
#else
	:: atomic { e == 0 && DRAINS -> e = barrier[now]; }
	/* A record may come late, and once more. */
	:: atomic { e != 0 && RECORD_COUNTS -> record_drained(); }
	:: atomic { e != 0 && !RECORD_COUNTS -> e = 0; }
#endif
	od
}

/* ---- commands ------------------------------------------------------------- */

inline pause_it() {
	change(PAUSED, now, release[now - 1]);
	paused = now;
	for (n : 0 .. WORKERS - 1) {
		s[n].member = (s[n].known && !s[n].over);
	}
}

inline resume_it() {
	if
	:: change(OPEN, 0, release[now - 1]);
	:: RULE(DRAIN_FIRST, state == DRAINED) ->
		change(OPEN, 0, 3 - release[now - 1]);
	fi;
	paused = 0;
	for (n : 0 .. SESSIONS - 1) {
		s[n].member = false;
	}
}

proctype commands() {
end:	do
	:: atomic { now < LAST && state == OPEN -> pause_it(); }
	:: atomic {
		now < LAST && state != OPEN &&
		RULE(PROBE_WAITS, state != PROBING) &&
		RULE(HOLD, step == NONE) ->
		resume_it();
	}
	:: atomic { /* refuse, accept */
		now < LAST && state != OPEN ->
		change(state, barrier[now - 1], release[now - 1]);
	}
	:: atomic {
		now < LAST && state == DRAINED && probe == 0 &&
		RULE(PROBE_HELLO, s[PROBE].known && !s[PROBE].over) &&
		(step == NONE || step == VERIFYING || BREAK == HOLD_PROBE) ->
		change(PROBING, now, release[now - 1]);
		probe = now;
		s[PROBE].member = (s[PROBE].known && !s[PROBE].over);
	}
#ifndef KAFKA
	/* An upgrade; it may go back at each step. */
	:: atomic {
		now < LAST && step == NONE ->
		if
		:: state == OPEN -> pause_it();
		:: else -> change(state, barrier[now - 1], release[now - 1]);
		fi;
		step = PAUSING;
	}
	:: atomic {
		now < LAST && step == PAUSING && state == DRAINED ->
		change(state, barrier[now - 1], release[now - 1]);
		step = MIGRATING;
	}
	:: atomic {
		now < LAST && step == MIGRATING ->
		change(state, barrier[now - 1], release[now - 1]);
		step = VERIFYING;
	}
	:: atomic {
		now < LAST && step != NONE && state != PROBING ->
		step = NONE;
		resume_it();
	}
#endif
	od
}

#if BREAK == CAS
/* It decides by what it has read, and its change comes late. */
proctype late_resume() {
end:	state == DRAINED && step == NONE;
end_late:
	atomic {
		now < LAST -> change(OPEN, 0, 3 - release[now - 1]);
	}
}
#endif

/* Waits for the pause that it made or joined. One is enough: waiters do nothing
 * to each other, and the others' pauses are among the commands. */
proctype pauser() {
	byte e;

end:	atomic {
		if
		:: now < LAST && state == OPEN -> pause_it();
		:: state != OPEN
		fi;
		e = paused;
	}
	atomic {
		paused == e && state == DRAINED ||
		(BREAK != OVERTAKEN && paused != e);
	}
}

init {
	atomic {
		release[0] = 1;
		for (n : 0 .. SESSIONS - 1) {
			s[n].read = LAST;
			if
			:: n < PROBES_TOO -> run worker(n);
			:: else
			fi;
		}
		run recorder();
		run commands();
#if BREAK == CAS
		run late_resume();
#endif
#ifdef LIVE
		run pauser();
#endif
	}
}
