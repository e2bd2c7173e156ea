package orgsim

import (
	"slices"
	"strings"
)

// What ends a starvation: see Starvation.Until.
const (
	StarveSession      = "session"     // a new session
	StarveSubscription = "resubscribe" // a new subscription, also of the same session
	StarveTip          = "tip"         // a new subscription to new events, or behind an event that came after it began
	StarveForever      = "forever"     // Feed only
)

// Starvation is the state that Salesforce's article 005321562 describes: a
// subscription gets nothing more while its session lives and its connects
// succeed. What is published meanwhile stays on the bus, for others and for
// whoever comes after it.
type Starvation struct {
	Channel  string `json:"channel,omitempty"`  // subscriptions to it; "": all
	ClientID string `json:"clientId,omitempty"` // of one session; "": of all that live when it begins
	// Rows, if not 0: it begins when so many rows were changed from now on, as
	// by a bulk load; of Object, or of any if that is empty.
	Rows   int    `json:"rows,omitempty"`
	Object string `json:"object,omitempty"`
	Until  string `json:"until,omitempty"` // StarveSession (default), StarveSubscription, StarveTip, StarveForever
}

// starving is a starvation that waits for its rows, or that has begun.
type starving struct {
	Starvation
	left     int             // rows to come
	began    bool            //
	at       int             // index of the first event behind what made it begin
	sessions map[string]bool // that lived then and are concerned
}

// Starve makes subscriptions starve, now or after a bulk load.
func (o *Org) Starve(s Starvation) error {
	orDefault(&s.Until, StarveSession)
	switch {
	case !slices.Contains([]string{StarveSession, StarveSubscription, StarveTip, StarveForever}, s.Until):
		return &ConfigError{"starvation", "until is " + quoted(s.Until)}
	case s.Channel != "" && o.channelNamed(s.Channel) == nil:
		return &ConfigError{"starvation", "no channel " + quoted(s.Channel)}
	case s.Object != "" && o.objects[s.Object] == nil:
		return &ConfigError{"starvation", "no object " + quoted(s.Object)}
	}
	st := &starving{Starvation: s, left: s.Rows}
	_, end := o.bus.bounds()
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	o.hub.starving = append(o.hub.starving, st)
	if st.left <= 0 {
		o.beginLocked(st, end)
	}
	return nil
}

// Feed ends all starvations. Subscriptions go on with what is published from
// now on; what they missed they do not get.
func (o *Org) Feed() {
	_, end := o.bus.bounds()
	o.hub.mu.Lock()
	o.hub.starving = nil
	for _, s := range o.hub.sessions {
		s.mu.Lock()
		for _, sub := range s.subs {
			if sub.starved {
				sub.starved, sub.cursor = false, end
			}
		}
		s.mu.Unlock()
	}
	o.hub.mu.Unlock()
	o.bus.wake()
}

func (o *Org) beginLocked(st *starving, at int) {
	st.began, st.at, st.sessions = true, at, map[string]bool{}
	for _, s := range o.hub.sessions {
		if st.ClientID != "" && st.ClientID != s.id {
			continue
		}
		st.sessions[s.id] = true
		s.mu.Lock()
		for _, sub := range s.subs {
			sub.starved = sub.starved || st.Channel == "" || st.Channel == sub.channel
		}
		s.mu.Unlock()
	}
}

// starves reports whether a new subscription starves from the start.
func (o *Org) starves(s *session, sub *subscription) bool {
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	for _, st := range o.hub.starving {
		if !st.began || st.Channel != "" && st.Channel != sub.channel || st.ClientID != "" && st.ClientID != s.id && st.Until != StarveForever {
			continue
		}
		switch st.Until {
		case StarveForever:
			return true
		case StarveSession:
			if st.sessions[s.id] {
				return true
			}
		case StarveTip:
			if sub.cursor <= st.at && sub.from != "" && sub.from != "-1" {
				return true
			}
		}
	}
	return false
}

// loaded counts changed rows; a starvation begins with the events that they
// publish, which the caller is about to append to the bus.
func (o *Org) loaded(events []logged) {
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	for _, st := range o.hub.starving {
		if st.began {
			continue
		}
		for i := range events {
			if st.Object == "" || st.Object == events[i].typ.object {
				st.left -= len(events[i].ids)
			}
		}
		if st.left <= 0 {
			_, end := o.bus.bounds()
			o.beginLocked(st, end+len(events))
		}
	}
}

// anyChannel is the first channel, in order of name, that somebody is
// subscribed to; "" if there is none.
func (o *Org) anyChannel() string {
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	first := ""
	for _, s := range o.hub.sessions {
		s.mu.Lock()
		for _, sub := range s.subs {
			if first == "" || strings.Compare(sub.channel, first) < 0 {
				first = sub.channel
			}
		}
		s.mu.Unlock()
	}
	return first
}
