package orgsim

import "time"

// ExpireTokens ends all access tokens and returns how many there were. Held
// connects are answered with 401::Authentication invalid at once.
func (o *Org) ExpireTokens() int {
	o.auth.mu.Lock()
	n := len(o.auth.tokens)
	clear(o.auth.tokens)
	o.auth.mu.Unlock()
	o.stats.expired.Add(int64(n))
	o.bus.wake()
	return n
}

// ForgetSessions drops all CometD sessions, as moving to another server does,
// and returns how many there were. Held connects get 403::Unknown client.
func (o *Org) ForgetSessions() int { return o.endAll(endForgotten) }

// DisconnectSessions ends all sessions with a /meta/disconnect that nobody
// asked for, as an instance refresh does.
func (o *Org) DisconnectSessions() int { return o.endAll(endServer) }

func (o *Org) endAll(why string) int {
	o.sweep()
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	n := 0
	now := o.now()
	for _, s := range o.hub.sessions {
		o.endLocked(s, why, now)
		n++
	}
	o.stats.forgotten.Add(int64(n))
	return n
}

// CutConnections arranges that every session's next connect reply is cut off
// after that many body bytes, and at the latest before its last one; what the
// reply held is lost to the session. With 0, held connects are cut at once. It
// returns the number of sessions concerned; Stats.Cuts counts the cuts that
// happened.
func (o *Org) CutConnections(afterBytes int) int {
	o.sweep()
	o.hub.mu.Lock()
	n := 0
	for _, s := range o.hub.sessions {
		s.mu.Lock()
		s.cutAfter = max(afterBytes, 0)
		s.mu.Unlock()
		n++
	}
	o.hub.mu.Unlock()
	o.bus.wake()
	return n
}

// ResetBus does to the event bus what a migration of the org may do: nothing is
// retained any more and every replay id known so far is invalid. Ids go on to grow;
// with MigrateInstance they begin again.
func (o *Org) ResetBus() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.resetBus()
}

func (o *Org) resetBus() {
	o.replay += 1_000_000 + o.gapRand.Int64N(1_000_000)
	o.bus.reset(o.replay)
}

// Outage makes every request but the control API's fail with HTTP 503 for a time.
func (o *Org) Outage(d time.Duration) {
	o.outage.Store(o.now().Add(d).UnixNano())
}

// ShareReplayID gives the events of each of the next n transactions that
// publish more than one event the same replay id, as channel enrichment may do.
func (o *Org) ShareReplayID(n int) { o.shared.Add(int64(n)) }

// shares reports whether this transaction's events share one replay id.
func (o *Org) shares(events int) bool {
	if events < 2 || o.shared.Load() <= 0 {
		return false
	}
	o.shared.Add(-1)
	return true
}
