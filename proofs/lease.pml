/*
 * The lease protocol: some workers, one task, a server that crashes, a network that loses and repeats.
 *
 * What is modelled, what is not, and the table of planted faults: README.md beside this file. Run by check.py, which
 * defines the switches. A switch F_... plants a fault; a sound protocol is the model without any.
 *
 * Each step of each process is one d_step, so crashes, losses, lapses and ticks fall between any two. A pause of a worker is
 * a worker that is not scheduled while the clock ticks. Variables marked "ghost" are the judge's and nobody decides by them.
 */

/* -- shape ---------------------------------------------------------------------------------------------------------- */

#ifndef W
#define W 2 /* workers */
#endif
#ifndef L
#define L 2 /* ticks that the server gives */
#endif
#ifndef MARGIN
#define MARGIN 0 /* ticks by which the worker gives up before that */
#endif
#ifndef GRANTS
#define GRANTS 3 /* at most 3: a fence has two bits for its number */
#endif
#ifndef SERVER_CRASHES
#define SERVER_CRASHES 1
#endif
#ifndef WORKER_CRASHES
#define WORKER_CRASHES 1
#endif
#ifdef TAKEOVER
#define SERVERS 2
#define STALE 1 /* ticks without a heartbeat after which the standby takes over */
#else
#define SERVERS 1
#endif
#ifdef F_NO_MARGIN
#define VALID L
#else
#define VALID (L - MARGIN)
#endif

/* Statuses; a lapsed attempt is READY with a holder. */
#define READY 0
#define RUNNING 1
#define DONE 2

/* Numbered requests. */
#define CLAIM 1
#define REPORT 2
#define FOUND 3  /* seen complete without an attempt */
#define REOPEN 4 /* told done, seen absent */

/* Answers; 4 and more is the fence of a grant. */
#define NOTHING 0
#define FINE 1
#define LOST 2
#define TOLD_DONE 3
#define OVER 254        /* no further attempt: the limit of attempts */
#define OUT_OF_STEP 255 /* 409: say hello again */
#define IS_GRANT(answer) (answer >= 4 && answer < OVER)

/* A question without a number (renew, confirm): idle, on its way, answered. */
#define IDLE 0
#define ASKED 1
#define YES 2
#define NO 3

/* What a worker is doing. */
#define LOOKS 0   /* at the target, and asks for work if it is absent */
#define WAITS 1   /* for the answer to a claim */
#define GRANTED 2
#define CLAIMS 3  /* replace: has looked at its lease, is about to mark the target */
#define WORKS 4
#define WRITTEN 5 /* a whole temporary */
#define COMMITS 6 /* has looked at its lease, is about to make the output exist */
#define AWAITS 7  /* the answer to another request */
#define GONE 8

#define FENCE(epoch, number) ((epoch) * 4 + (number))
#define NUMBER(fence) ((fence) & 3)
#define AN_ATTEMPT(w) (phase[w] >= GRANTED && phase[w] <= COMMITS)

/* -- the store ------------------------------------------------------------------------------------------------------ */

typedef Rows {
    byte epoch;
    byte status;
    byte fence;  /* the newest; 0: never granted */
    byte holder; /* worker + 1 of a running or lapsed attempt */
    byte gen;
    byte last[W]; /* number of the last request of each session, and its answer */
    byte ans[W];
};

Rows d;          /* what a crash of the server leaves */
Rows m[SERVERS]; /* what each server has in memory */
#ifdef NORMAL
Rows flushed;    /* what a loss of power leaves */
bit unsettled;   /* the boot id is not the stored one */
byte hold;       /* ticks for which nothing is granted */
byte power = 1;  /* losses of power to come */
#endif
#ifdef F_ANSWER_FIRST
bit dirty;
#endif

#ifdef F_LEASE_WITHOUT_TIMER
bit timerless;
#define JUDGED !timerless
#else
#define JUDGED true
#endif

inline copy(to, from) {
    to.epoch = from.epoch; to.status = from.status; to.fence = from.fence; to.holder = from.holder; to.gen = from.gen;
    to.last[0] = from.last[0]; to.ans[0] = from.ans[0];
    to.last[1] = from.last[1]; to.ans[1] = from.ans[1];
#if W > 2
    to.last[2] = from.last[2]; to.ans[2] = from.ans[2];
#endif
}

/* -- servers, workers, network, target -------------------------------------------------------------------------------- */

bit up[SERVERS];
byte left[SERVERS]; /* of the lease, ticks; memory only */
byte crashes = SERVER_CRASHES;
byte hb;            /* ticks since the first server's last heartbeat */

byte phase[W];
byte cur[W];   /* fence of the attempt */
byte ag[W];    /* its generation */
byte valid[W]; /* ticks for which the worker trusts its lease */
byte seq[W];   /* number of its last request */
byte pend[W];  /* what will be valid, counted since the request was first sent */
bit temp[W];   /* its temporary is there */
#ifdef F_CLAIM_READS_ONLY
byte read[W];  /* the output as the attempt found it */
#endif
#ifdef F_GRACE_AFTER_VALID
bit dying[W];  /* it was sent SIGTERM */
#endif
bit slow[W];   /* its clock has missed the tick that drift may cost */
byte know[W];  /* generation that the server told before the worker looked; 0: it has spoken of that */
bit told[W];   /* the last answer was TOLD_DONE */
byte deaths = WORKER_CRASHES;

byte kind[W]; /* of the numbered request that is outstanding */
bit rq[W];    /* it is on its way to the server */
byte an[W];   /* the answer on its way */
byte ang[W];  /* the generation told with it */
byte at[W];   /* the number told with OUT_OF_STEP */
byte kq[W];   /* the keeper's Renew */
byte kf[W];   /* its fence */
byte kv[W];   /* what will be valid, counted since it was sent */
byte cq[W];   /* the worker's Confirm */
#ifdef REPEATS
byte dk[W];   /* a further copy of an old request */
byte dseq[W];
byte df[W];
#endif

#ifdef CALMS
bit calm;     /* from now on nothing is lost: else whoever is stuck may send for ever, and no deadlock is seen */
#define LOSES !calm
#else
#define LOSES true
#endif

byte out;    /* the output: fence of who made it; 0: absent */
byte outgen;
byte tag;    /* replace: fence that has marked the target */
byte op;     /* steps of the operator who invalidates */
bit moved;   /* ghost: the output of generation 1 was moved aside */

byte newest;   /* ghost: the highest fence ever granted */
byte grants;   /* ghost: how many */
byte finished; /* ghost: generation that became done last */
byte acked;    /* ghost: generation whose completion was acknowledged to a worker */
byte claimed;  /* ghost: highest fence that has claimed the target */
byte lastout;  /* ghost: highest fence that has committed the output */
byte gseq[W];  /* ghost: number of the last request that had an effect */
byte gans[W];  /* ghost: its answer */
byte reply;    /* within a step only */

#if W > 2
#define ALL_GONE (phase[0] == GONE && phase[1] == GONE && phase[2] == GONE)
#else
#define ALL_GONE (phase[0] == GONE && phase[1] == GONE)
#endif

/* -- the promises, as far as they are about one state ------------------------------------------------------------------ */

#if defined(CONTINUE) || defined(F_NO_FREEZE)
#define MAY_GO_ON(w) true
#else
#define MAY_GO_ON(w) (valid[w] > 0) /* else the keeper has stopped its clock, or has ended it */
#endif
#define WORKING(w) (phase[w] >= CLAIMS && phase[w] <= COMMITS && MAY_GO_ON(w))

inline p6() { /* under freeze and stop at most one attempt works */
    skip;
#ifndef CONTINUE
    assert(!(WORKING(0) && WORKING(1)));
#if W > 2
    assert(!(WORKING(0) && WORKING(2)));
    assert(!(WORKING(1) && WORKING(2)));
#endif
#endif
}

/* -- the server -------------------------------------------------------------------------------------------------------- */

#ifdef F_NO_EPOCH_CHECK
#define DEPOSED(s) false
#else
#define DEPOSED(s) (d.epoch != m[s].epoch)
#endif
#if defined(TAKEOVER) && !defined(F_DEPOSED_RENEWS)
#define SURE(s) (s == 1 || hb < STALE) /* whoever has not heard of the store for so long may be deposed */
#else
#define SURE(s) true
#endif
#ifdef NORMAL
#define HELD_BACK (hold > 0)
#else
#define HELD_BACK false
#endif
#ifdef F_STALE_CONFIRM
#define CONFIRMS(s, w) (m[s].status != DONE)
#else
#define CONFIRMS(s, w) IS_NEWEST(s, w, cur[w])
#endif
#define IS_NEWEST(s, w, f) (m[s].fence == f && m[s].holder == w + 1)
/* Workers are alike until the first grant: let worker 0 have it. */
#define IS_FIRST(w) (grants > 0 || w == 0 || phase[0] == GONE)
#define CAN_ANSWER(s, w, what, n) \
    (what != CLAIM || n != m[s].last[w] + 1 || m[s].status == DONE || (m[s].status == READY && !HELD_BACK && IS_FIRST(w)))

inline wipe(s) { /* a server that is gone for good: equal memories are one state */
    up[s] = 0; left[s] = 0;
    m[s].epoch = 0; m[s].status = 0; m[s].fence = 0; m[s].holder = 0; m[s].gen = 0;
    m[s].last[0] = 0; m[s].ans[0] = 0; m[s].last[1] = 0; m[s].ans[1] = 0;
}

inline flush() {
#ifdef NORMAL
    copy(flushed, d);
#endif
    skip
}

inline commit(s) {
#ifdef F_ANSWER_FIRST
    dirty = 1;
#else
    copy(d, m[s]);
#endif
}

inline becomes_done(s) {
    assert(m[s].gen > finished); /* P4: at most once in a generation */
    finished = m[s].gen;
    assert(out != 0);            /* done means there */
#ifdef GENERATIONS
    assert(outgen == m[s].gen);
#endif
    m[s].status = DONE; m[s].holder = 0; left[s] = 0;
}

inline grant(s, w) {
    m[s].fence = FENCE(m[s].epoch, NUMBER(m[s].fence) + 1);
    assert(m[s].fence > newest); /* P1: each fence is higher than all before it */
    newest = m[s].fence;
    grants++;
    m[s].status = RUNNING; m[s].holder = w + 1; left[s] = L;
    reply = m[s].fence;
#ifdef F_LEASE_WITHOUT_TIMER
    timerless = 0
#endif
}

#ifdef F_NO_FENCE_CHECK
#define COUNTS(s, w, f) (m[s].status != DONE)
#else
#ifdef F_LATE_OVER_NEWER /* late reports are taken by status, not by fence */
#define COUNTS(s, w, f) (m[s].status == READY || (m[s].status == RUNNING && IS_NEWEST(s, w, f)))
#else
#ifdef F_REPORT_WITHOUT_GENERATION /* invalidation leaves the old attempt its standing */
#define COUNTS(s, w, f) (m[s].status != DONE && m[s].fence == f)
#else
#define COUNTS(s, w, f) (m[s].status != DONE && IS_NEWEST(s, w, f))
#endif
#endif
#endif

inline report(s, w, f) {
    if
    :: COUNTS(s, w, f) ->
        assert(f == newest); /* P1: an older one is refused */
        becomes_done(s);
        reply = FINE
    :: else ->
        if
        :: m[s].fence == f && m[s].status == DONE -> reply = FINE /* the same answer again */
        :: else -> reply = LOST
        fi
    fi
}

#ifdef F_FOUND_WITHOUT_GENERATION
#define FOUND_COUNTS(s, g) (m[s].status == READY)
#else
#define FOUND_COUNTS(s, g) (m[s].status == READY && m[s].gen == g)
#endif

inline start_over(s) {
    m[s].status = READY; m[s].gen = m[s].gen + 1; m[s].holder = 0;
}

inline decide(s, w, what, f) {
    if
    :: what == CLAIM && m[s].status == DONE -> reply = TOLD_DONE
    :: what == CLAIM && m[s].status != DONE && grants < GRANTS -> grant(s, w)
    :: what == CLAIM && m[s].status != DONE && grants >= GRANTS -> reply = OVER
    :: what == REPORT -> report(s, w, f)
    :: what == FOUND ->
        if
        :: FOUND_COUNTS(s, know[w]) -> becomes_done(s)
        :: else
        fi;
        reply = FINE
    :: what == REOPEN ->
        if
        :: m[s].status == DONE -> start_over(s)
        :: else
        fi;
        reply = FINE
    fi
}

#ifdef F_HANDLED_TWICE
#define IS_REPEAT(s, w, n) false
#define IS_NEW(s, w, n) (n == m[s].last[w] + 1 || n == m[s].last[w])
#else
#define IS_REPEAT(s, w, n) (n == m[s].last[w])
#define IS_NEW(s, w, n) (n == m[s].last[w] + 1)
#endif

#ifdef F_DEPOSED_OUT_OF_STEP
#define WRONGLY_OUT_OF_STEP(s, w, n) (!IS_NEW(s, w, n))
#else
#define WRONGLY_OUT_OF_STEP(s, w, n) false
#endif

/* One numbered request: its effect, its answer and its number are one commit. Leaves the answer in `reply`. */
inline handle(s, w, what, n, f) {
    reply = NOTHING;
    if
    :: !IS_REPEAT(s, w, n) && DEPOSED(s) && !WRONGLY_OUT_OF_STEP(s, w, n) ->
        wipe(s) /* its commit fails on the epoch, and it exits */
    :: else ->
        if
        :: IS_REPEAT(s, w, n) -> reply = m[s].ans[w] /* without a commit: it is the same wherever it is known */
        :: IS_NEW(s, w, n) ->
            decide(s, w, what, f);
#ifndef NORMAL
            assert(n > gseq[w]); /* P3: no second effect */
            gseq[w] = n; gans[w] = reply;
#endif
            m[s].last[w] = n; m[s].ans[w] = reply;
            commit(s);
#if defined(NORMAL) && !defined(F_REGRANT_UNFLUSHED)
            if
            :: IS_GRANT(reply) && NUMBER(reply) > 1 -> flush()
            :: else
            fi
#endif
        :: else -> reply = OUT_OF_STEP
        fi;
#ifndef NORMAL
        assert(reply == OUT_OF_STEP || n != gseq[w] || reply == gans[w]) /* P3: the first answer */
#endif
    fi
}

inline begin_life(s) { /* restart, or takeover */
    up[s] = 1;
#ifndef F_SAME_EPOCH
    d.epoch = d.epoch + 1;
#endif
#ifdef F_LEASES_DROPPED
    if
    :: d.status == RUNNING -> d.status = READY
    :: else
    fi;
#endif
#ifdef F_ANSWERS_IN_MEMORY
    d.last[0] = 0; d.ans[0] = 0; d.last[1] = 0; d.ans[1] = 0;
#endif
#ifdef NORMAL
#ifndef F_EPOCH_UNFLUSHED
    flush();
#endif
    hold = 0;
#ifndef F_NO_HOLD
    if
    :: unsettled -> hold = L
    :: else
    fi;
#endif
#ifdef F_BOOT_ID_AT_ONCE
    unsettled = 0;
#endif
#else
    assert(acked == 0 || d.gen > acked || d.status == DONE); /* P2: no acknowledged completion is lost */
#endif
    copy(m[s], d);
    left[s] = 0;
    if
    :: d.status == RUNNING ->
        left[s] = L; /* nobody is robbed because we were away */
#ifdef F_LEASE_WITHOUT_TIMER
        timerless = 1
#endif
    :: else
    fi
}

inline renewed(s, w) {
    if
#ifdef F_RENEWED_BY_KEY /* the key's lease is extended, whoever asks */
    :: m[s].status == RUNNING -> left[s] = L; kq[w] = YES
#else
    :: m[s].status == RUNNING && IS_NEWEST(s, w, kf[w]) -> left[s] = L; kq[w] = YES
#endif
    :: m[s].status == READY && IS_NEWEST(s, w, kf[w]) -> /* lapsed, and still nobody else's */
        if
        :: DEPOSED(s) -> wipe(s)
        :: else -> m[s].status = RUNNING; left[s] = L; kq[w] = YES; commit(s)
        fi
    :: else -> kq[w] = NO; kv[w] = 0
    fi;
    assert(kq[w] != YES || kf[w] == newest) /* P1 */
}

inline deliver(s, w) {
    rq[w] = 0; an[w] = reply;
    at[w] = (reply == OUT_OF_STEP -> m[s].last[w] : 0); /* what hello is going to tell */
#ifdef GENERATIONS
    ang[w] = m[s].gen
#endif
}

/* What server s has to do with worker w. */
proctype Desk(byte s; byte w) {
    do
    :: d_step { /* a numbered request */
        up[s] && rq[w] && !an[w] && CAN_ANSWER(s, w, kind[w], seq[w]) ->
        handle(s, w, kind[w], seq[w], cur[w]);
        if
        :: reply != NOTHING -> deliver(s, w)
        :: else
        fi;
        reply = NOTHING
       }
#ifdef REPEATS
    :: d_step { /* the same, and a copy of it stays in the network */
        up[s] && rq[w] && !an[w] && !dk[w] && CAN_ANSWER(s, w, kind[w], seq[w]) ->
        dk[w] = kind[w]; dseq[w] = seq[w]; df[w] = cur[w];
        handle(s, w, kind[w], seq[w], cur[w]);
        if
        :: reply != NOTHING -> deliver(s, w)
        :: else
        fi;
        reply = NOTHING
       }
    :: d_step { /* the copy arrives; its answer is for the request that is outstanding, or for nobody */
        up[s] && dk[w] && CAN_ANSWER(s, w, dk[w], dseq[w]) ->
        handle(s, w, dk[w], dseq[w], df[w]);
        if
        :: reply != NOTHING && dseq[w] == seq[w] && !an[w] && (phase[w] == WAITS || phase[w] == AWAITS) -> deliver(s, w)
        :: else
        fi;
        dk[w] = 0; dseq[w] = 0; df[w] = 0; reply = NOTHING
       }
#endif
    :: d_step { up[s] && kq[w] == ASKED && SURE(s) -> renewed(s, w) }
#ifdef CONTINUE
    :: d_step {
        up[s] && cq[w] == ASKED && SURE(s) ->
        if
        :: CONFIRMS(s, w) -> cq[w] = YES; assert(cur[w] == newest) /* P1 */
        :: else -> cq[w] = NO
        fi
       }
#endif
    :: ALL_GONE -> break
    od
}

/* Lapses, crashes and beginnings of server s. */
proctype Server(byte s) {
    do
    :: d_step {
        up[s] && m[s].status == RUNNING && left[s] == 0 && JUDGED ->
        if
        :: DEPOSED(s) -> wipe(s)
        :: else -> m[s].status = READY; commit(s) /* the holder stays: it may still report, or take it up again */
        fi
       }
#ifdef F_ANSWER_FIRST
    :: d_step { up[s] && dirty -> copy(d, m[s]); dirty = 0 }
#endif
#ifdef NORMAL
    :: d_step { up[s] && (flushed.last[0] != d.last[0] || flushed.last[1] != d.last[1] || flushed.status != d.status || flushed.fence != d.fence) -> flush() }
    :: d_step { up[s] && unsettled && hold == 0 -> unsettled = 0 } /* only now is the new boot id written */
    :: d_step { /* power is lost: a suffix of the commits is */
        power > 0 ->
        power--; up[s] = 0; left[s] = 0; hold = 0; unsettled = 1;
        copy(d, flushed); copy(m[s], d);
        finished = (d.status == DONE -> finished : 0) /* what was acknowledged may be lost: NORMAL */
       }
#endif
    :: d_step { /* kill -9 */
        up[s] && crashes > 0 ->
        crashes--; left[s] = 0;
#ifdef TAKEOVER
        wipe(s);
#else
        up[s] = 0; copy(m[s], d);
#endif
#ifdef NORMAL
        hold = 0;
#endif
#ifdef F_ANSWER_FIRST
        dirty = 0;
#endif
       }
#ifdef TAKEOVER
    :: d_step { s == 1 && !up[1] && d.epoch == 1 && (!up[0] || hb == STALE) -> begin_life(1) }
    :: d_step { s == 1 && !up[1] && d.epoch == 2 -> begin_life(1) } /* restart of the second */
    :: d_step { s == 0 && up[0] && hb > 0 && d.epoch == m[0].epoch -> hb = 0 }
    :: d_step { s == 0 && up[0] && d.epoch != m[0].epoch -> wipe(0) } /* its heartbeat tells it */
#else
    :: d_step { !up[s] -> begin_life(s) }
#endif
    :: ALL_GONE -> break
    od
}

/* -- workers -------------------------------------------------------------------------------------------------------- */

inline send(w, what, next) {
    seq[w] = seq[w] + 1; kind[w] = what; rq[w] = 1; phase[w] = next
}

inline let_go(w) { /* of the lease: the attempt is over. A Renew that is on its way stays there */
    temp[w] = 0; valid[w] = 0; cq[w] = IDLE; kv[w] = 0;
    if
    :: kq[w] == YES || kq[w] == NO -> kq[w] = IDLE; kf[w] = 0
    :: else
    fi
}

inline drop(w) { /* nothing is reported */
    let_go(w); ag[w] = 0; cur[w] = 0; phase[w] = LOOKS
}

inline reports(w) { /* the attempt is over */
    let_go(w);
    send(w, REPORT, AWAITS)
}

inline begin(w) { /* a lease that is sure: begin, unless the output is there */
    if
#ifndef REPLACE
    :: out != 0 -> reports(w) /* done (already there) */
    :: else -> phase[w] = WORKS
#else
    :: true -> phase[w] = CLAIMS
#endif
    fi;
    cq[w] = IDLE;
    p6()
}

#ifdef F_NO_CONFIRM
#define UNSURE_BUT_GOES_ON true
#else
#define UNSURE_BUT_GOES_ON (cq[w] == YES)
#endif
#if defined(F_NO_FREEZE)
#define SURE_OF_LEASE(w) true
#else
#ifdef CONTINUE
#define SURE_OF_LEASE(w) (valid[w] > 0 || UNSURE_BUT_GOES_ON)
#else
#define SURE_OF_LEASE(w) (valid[w] > 0)
#endif
#endif

inline mark(w) { /* replace: mark the target, where what marks it is older */
#ifdef F_CLAIM_WITHOUT_COMPARE
    if
    :: true ->
#else
    if
    :: tag > cur[w] -> drop(w)
    :: else ->
#endif
#ifdef F_CLAIM_READS_ONLY
        read[w] = out;
#else
        assert(cur[w] >= claimed); /* P5: nor does an older one mark it */
        tag = cur[w];
#endif
        if
        :: cur[w] > claimed -> claimed = cur[w]
        :: else
        fi;
        phase[w] = WORKS
    fi
}

inline exist(w) { /* the output comes into being */
#ifdef GENERATIONS
    assert(!moved || ag[w] > 1); /* P4: no older attempt makes again what was moved aside */
#endif
    assert(cur[w] >= lastout);   /* P4: nor replaces what a newer one made */
    assert(cur[w] >= claimed);   /* P5: nor changes what a newer one has claimed */
    out = cur[w]; outgen = ag[w]; lastout = cur[w];
    reports(w)
}

inline make_output(w) {
    if
#ifdef REPLACE
#ifdef F_REPLACE_WITHOUT_COMPARE
    :: true -> exist(w)
#elif defined(F_CLAIM_READS_ONLY) /* as with If-Match and what was found at the beginning */
    :: out == read[w] -> exist(w)
    :: else -> drop(w)
#else
    :: tag == cur[w] -> exist(w)
    :: else -> drop(w)
#endif
#else
    :: !temp[w] -> drop(w) /* swept: link fails */
#ifdef F_OVERWRITE
    :: temp[w] -> exist(w)
#else
    :: temp[w] && out == 0 -> exist(w)
    :: temp[w] && out != 0 -> reports(w) /* done (already there) */
#endif
#endif
    fi
}

inline receive(w) { /* the answer to a claim */
    if
    :: IS_GRANT(an[w]) ->
        cur[w] = an[w]; ag[w] = ang[w]; phase[w] = GRANTED;
#ifdef F_FROM_ANSWER
        valid[w] = VALID
#else
        valid[w] = pend[w]
#endif
    :: an[w] == TOLD_DONE ->
        know[w] = ang[w]; told[w] = 1;
#ifdef F_EXIT_UNSEEN
        phase[w] = GONE; assert(out != 0) /* P9 */
#else
        phase[w] = LOOKS
#endif
    :: an[w] == OVER -> phase[w] = GONE
    :: an[w] == OUT_OF_STEP -> seq[w] = at[w]; phase[w] = LOOKS /* after hello */
    :: else -> assert(false) /* P3: an answer to another request */
    fi;
    pend[w] = 0; an[w] = 0; ang[w] = 0; at[w] = 0
}

inline received(w) { /* the answer to a report, FOUND or REOPEN */
    if
    :: an[w] == OUT_OF_STEP -> seq[w] = at[w]; send(w, REPORT, AWAITS) /* after hello */
    :: else ->
        assert(an[w] == FINE || an[w] == LOST); /* P3: no answer to another request */
        if
        :: an[w] == FINE && ag[w] > acked -> acked = ag[w]
        :: else
        fi;
        ag[w] = 0; cur[w] = 0; told[w] = 0; know[w] = 0; phase[w] = LOOKS
    fi;
    an[w] = 0; ang[w] = 0; at[w] = 0
}

/* The target as a worker sees it. In replace mode its being there says nothing about this round of work. */
#ifdef REPLACE
#define SEEN (told[w])
#else
#define SEEN (out != 0)
#endif

proctype Worker(byte w) {
    do
    :: d_step { phase[w] == LOOKS && SEEN -> assert(out != 0); /* P9 */ told[w] = 0; phase[w] = GONE }
#ifdef GENERATIONS
    :: d_step { phase[w] == LOOKS && SEEN && know[w] && !told[w] -> send(w, FOUND, AWAITS) }
    :: d_step { phase[w] == LOOKS && !SEEN && told[w] -> told[w] = 0; send(w, REOPEN, AWAITS) }
#endif
    :: d_step {
        phase[w] == LOOKS && !SEEN && !told[w] ->
        send(w, CLAIM, WAITS);
        pend[w] = VALID
       }
    :: d_step { phase[w] == WAITS && an[w] -> receive(w) }
    :: d_step { phase[w] == GRANTED && SURE_OF_LEASE(w) -> begin(w) }
    :: d_step { phase[w] == WORKS && MAY_GO_ON(w) -> temp[w] = 1; phase[w] = WRITTEN }
    :: d_step { phase[w] == WRITTEN && SURE_OF_LEASE(w) -> phase[w] = COMMITS; cq[w] = IDLE }
    :: d_step { phase[w] == COMMITS && MAY_GO_ON(w) -> make_output(w) }
    :: d_step { phase[w] == AWAITS && an[w] -> received(w) }
#ifdef REPLACE
    :: d_step { phase[w] == CLAIMS && MAY_GO_ON(w) -> mark(w) }
#endif
    /* what was lost is sent again under the same number; time counts from the first sending */
    :: d_step {
        (phase[w] == WAITS || phase[w] == AWAITS) && !rq[w] && !an[w] ->
        rq[w] = 1;
#ifdef F_FROM_RESENDING
        pend[w] = (phase[w] == WAITS -> VALID : 0)
#endif
       }
    /* kill -9; its requests stay on their way */
    :: d_step {
        deaths > 0 && phase[w] != GONE ->
        deaths--; an[w] = 0; ang[w] = 0; pend[w] = 0; told[w] = 0;
        let_go(w); phase[w] = GONE
       }
    /* the network loses */
    :: d_step { rq[w] && LOSES -> rq[w] = 0 }
    :: d_step { an[w] && LOSES -> an[w] = 0; ang[w] = 0 }
    :: d_step { kq[w] && LOSES -> kq[w] = IDLE; kf[w] = 0; kv[w] = 0 }
    :: ALL_GONE -> break
    od
}

#ifdef CONTINUE
proctype Confirming(byte w) {
    do
    :: d_step { (phase[w] == GRANTED || phase[w] == WRITTEN) && valid[w] == 0 && cq[w] == IDLE -> cq[w] = ASKED }
    :: d_step { cq[w] == NO -> drop(w) }
    :: d_step { cq[w] && LOSES -> cq[w] = IDLE }
    :: ALL_GONE -> break
    od
}
#endif

proctype Keeper(byte w) {
    do
    :: d_step { AN_ATTEMPT(w) && kq[w] == IDLE && valid[w] < VALID -> kq[w] = ASKED; kf[w] = cur[w]; kv[w] = VALID }
    :: d_step {
        kq[w] == YES || kq[w] == NO ->
        if
        :: kf[w] == cur[w] && AN_ATTEMPT(w) && kq[w] == NO -> drop(w) /* told lost: SIGKILL */
        :: kf[w] == cur[w] && AN_ATTEMPT(w) && kq[w] == YES ->
#ifdef F_FROM_ANSWER
            valid[w] = VALID;
#else
            valid[w] = (kv[w] > valid[w] -> kv[w] : valid[w]);
#endif
            p6()
        :: else
        fi;
        kq[w] = IDLE; kf[w] = 0; kv[w] = 0
       }
    :: ALL_GONE -> break
    od
}

/* -- people and time ----------------------------------------------------------------------------------------------------- */

#ifdef GENERATIONS
inline sweep() { /* temporaries of superseded attempts, also of living ones */
    temp[0] = 0; temp[1] = 0
}

inline invalidate(next) {
    if
    :: m[0].status == DONE && m[0].gen == 1 -> start_over(0); commit(0)
    :: else
    fi;
    op = next
}

/* Who wants the task done again. May stop after any step: then a worker that finds nothing there reopens the task. */
proctype Operator() {
#ifdef F_INVALIDATED_FIRST
    do
    :: d_step { op == 0 && up[0] && m[0].status == DONE && m[0].gen == 1 -> invalidate(1) }
    :: d_step { op == 1 -> sweep(); op = 2 }
    :: d_step { op == 2 -> out = 0; moved = 1; op = 4 }
    :: ALL_GONE -> break
    od
#else
    do
    :: d_step { op == 0 && up[0] && m[0].status == DONE && m[0].gen == 1 -> op = 1 } /* asks how it stands */
#ifdef F_NO_SWEEP
    :: d_step { op == 1 -> op = 2 }
#else
    :: d_step { op == 1 -> sweep(); op = 2 }
#endif
    :: d_step { op == 2 -> out = 0; moved = 1; op = 3 }
    :: d_step { op == 3 && up[0] -> invalidate(3) } /* the answer is lost */
    :: d_step { op == 3 && up[0] -> invalidate(4) }
    :: d_step { op > 0 && op < 4 -> op = 4 }
    :: ALL_GONE -> break
    od
#endif
}
#endif

inline less(x) {
    x = (x > 0 -> x - 1 : 0)
}

inline age(w) {
    less(pend[w]); less(kv[w]);
    if
    :: valid[w] == 1 ->
        valid[w] = 0
#ifdef STOP
        ;
        if
#ifdef F_GRACE_AFTER_VALID /* SIGTERM only now, SIGKILL a tick later */
        :: AN_ATTEMPT(w) && !dying[w] -> valid[w] = 1; dying[w] = 1
        :: AN_ATTEMPT(w) && dying[w] -> dying[w] = 0; drop(w)
#else
        :: AN_ATTEMPT(w) -> drop(w) /* the last signal of the grace is SIGKILL at this moment */
#endif
        :: else
        fi
#endif
    :: valid[w] > 1 -> valid[w] = valid[w] - 1
    :: else
    fi
}

inline servers_age() {
    less(left[0]);
#ifdef TAKEOVER
    less(left[1]);
    hb = (hb < STALE && up[0] -> hb + 1 : hb);
#endif
#ifdef NORMAL
    less(hold);
#endif
}

#ifdef NORMAL
#define HOLDS (hold > 0)
#else
#define HOLDS false
#endif
#ifdef TAKEOVER
#define LEFT (left[0] > 0 || left[1] > 0)
#else
#define LEFT (left[0] > 0)
#endif
#define AGES(w) (pend[w] > 0 || valid[w] > 0 || kv[w] > 0)
#if W > 2
#define AGING (AGES(0) || AGES(1) || AGES(2))
#else
#define AGING (AGES(0) || AGES(1))
#endif

proctype Clock() {
    do
    :: d_step {
        LEFT || HOLDS || AGING ->
        servers_age();
        age(0); age(1);
#if W > 2
        age(2);
#endif
       }
#ifdef DRIFT /* a worker's clock goes slower: it misses one tick, which the margin covers */
    :: d_step { AGES(0) && !slow[0] -> slow[0] = 1; servers_age(); age(1) }
    :: d_step { AGES(1) && !slow[1] -> slow[1] = 1; servers_age(); age(0) }
#endif
#ifdef CALMS
    :: d_step { !calm -> calm = 1 }
#endif
    :: ALL_GONE -> break
    od
}

init {
    atomic {
        d.epoch = 1; d.gen = 1;
        copy(m[0], d);
#ifdef NORMAL
        copy(flushed, d);
#endif
        up[0] = 1;
#ifdef GENERATIONS
        know[0] = 1; know[1] = 1;
#endif
        run Desk(0, 0); run Desk(0, 1);
        run Worker(0); run Worker(1);
        run Keeper(0); run Keeper(1);
        run Server(0); run Clock();
#if W > 2
        run Desk(0, 2); run Worker(2); run Keeper(2);
#endif
#ifdef CONTINUE
        run Confirming(0); run Confirming(1);
#if W > 2
        run Confirming(2);
#endif
#endif
#ifdef TAKEOVER
        run Server(1); run Desk(1, 0); run Desk(1, 1);
#endif
#ifdef GENERATIONS
        run Operator();
#endif
    }
}
