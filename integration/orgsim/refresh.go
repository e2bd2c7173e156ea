package orgsim

import "fmt"

// identity is what tells an org from others, and where it lives.
type identity struct {
	id       string // 18 characters
	instance string // Organization.InstanceName
	sandbox  bool
	moves    int
}

const firstInstance = "SIM1"

// RefreshSandbox does what the refresh of a sandbox does: it is another org, with a
// new id on another instance, and the same records. All sessions and tokens end,
// logins stay as they are. The event bus is a new one, which retains nothing, and
// whose replay ids begin where those of the old one began. It takes an id of the old
// one for one of its own; an id that it has not given out yet is taken for the last.
// A switch between two sites of one instance is [Org.ForgetSessions].
func (o *Org) RefreshSandbox() {
	o.become(func(next *identity) {
		next.id, next.sandbox = o.ids.id18("00D"), true
	}, true)
}

// MigrateInstance does what a migration of the org does: it lives on another
// instance, whose name is given or made up, all sessions and tokens end, and the
// event bus is a new one, which retains nothing. anyID: its ids begin where those of
// the old one began, and it takes an id of the old one for one of its own, as after
// RefreshSandbox; otherwise it refuses all of them.
func (o *Org) MigrateInstance(instance string, anyID bool) {
	o.become(func(next *identity) {
		if instance != "" {
			next.instance = instance
		}
	}, anyID)
}

// become gives the org another identity and another event bus.
func (o *Org) become(change func(*identity), anyID bool) {
	o.mu.Lock()
	next := *o.who.Load()
	next.moves++
	next.instance = fmt.Sprintf("SIM%d", next.moves+1)
	change(&next)
	o.who.Store(&next)
	o.cursors, o.jobs.all = nil, nil // they were the old instance's
	if anyID {
		o.replay = o.firstReplay
		o.bus.renumber(o.replay)
	} else {
		o.resetBus()
	}
	o.mu.Unlock()
	o.ExpireTokens()
	o.endAll(endMoved)
}
