package orgsim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// channelNames reads a subscription member: one channel or an array.
func channelNames(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many []string
	if json.Unmarshal(raw, &many) == nil {
		return many
	}
	return nil
}

// subscribe makes all the subscriptions of a message or none.
func (x *exchange) subscribe(m *message, s *session, rep *reply) *reply {
	rep.Subscription = m.Subscription
	names := channelNames(m.Subscription)
	if len(names) == 0 {
		return rep.fail("400::Channel name not specified", "")
	}
	if x.fx != nil && x.fx.silent {
		rep.Successful = true
		return rep
	}
	if x.o.exhausted(onSubscribe) {
		return rep.fail(deliverText, "")
	}
	now := x.o.now()
	x.o.bus.expire(now.UnixMilli())
	var subs []*subscription
	for _, name := range names {
		sub, text := x.o.subscription(x.user, name, m.Ext["replay"])
		if text != "" {
			return rep.fail(text, "")
		}
		if sub == nil {
			continue // it succeeds, and that is all
		}
		sub.opened = now
		sub.starved = x.o.starves(s, sub)
		subs = append(subs, sub)
	}
	for _, sub := range subs {
		s.subscribe(sub)
	}
	if x.o.cfg.EventsWithSubscribe || x.fx != nil && x.fx.withEvents {
		x.session = s
	}
	x.o.bus.wake() // a connect held meanwhile may now have something to deliver
	rep.Successful = true
	return rep
}

// subscription checks name, rights and replay id; text is the refusal
// (Streaming API guide, error codes).
func (o *Org) subscription(u *user, name string, replay json.RawMessage) (sub *subscription, text string) {
	switch {
	case name == "":
		return nil, "400::Channel name not specified"
	case name[0] != '/':
		return nil, "400::Channel subscriptions must start with a leading '/'"
	case strings.Contains(name, "*"):
		return nil, "403::Restricted channel"
	}
	name = strings.TrimSuffix(name, "/")
	base, filter := name, ""
	if strings.HasPrefix(name, "/topic/") {
		base, filter, _ = strings.Cut(name, "?")
	}
	ch := o.channelNamed(base)
	if ch == nil && o.cfg.SilentChannels {
		return nil, ""
	}
	if ch == nil {
		return nil, fmt.Sprintf("400::The channel you requested to subscribe to does not exist {%s}", name)
	}
	if u.denied[ch.object] {
		if strings.HasPrefix(ch.name, "/data/") {
			return nil, "403::User not allowed to subscribe CDC without View All Data permissions"
		}
		return nil, "403::Subscriber does not have access to the entity in this topic"
	}
	sub = &subscription{channel: name, members: make([]bool, len(ch.members))}
	if ch.topic != nil {
		o.mu.Lock()
		sub.filter, text = ch.topic.filterOf(filter)
		o.mu.Unlock()
		if text != "" {
			return nil, text
		}
	}
	copy(sub.members, ch.members)
	tail, err := json.Marshal(ch.name)
	if err != nil {
		return nil, "400::Channel name not specified"
	}
	sub.tail = []byte(`,"channel":` + string(tail) + `}`)
	for _, ob := range o.order {
		// A multi-entity channel takes everybody and filters at delivery.
		sub.members[ob.typ.index] = ch.members[ob.typ.index] && !u.denied[ob.def.Name]
	}
	sub.from = replayText(ch.name, replay)
	cursor, ok := o.start(sub.from, sub.members)
	if !ok {
		return nil, fmt.Sprintf("400::The replayId {%s} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.", sub.from)
	}
	sub.cursor = cursor
	return sub, ""
}

// replayText finds the replay id asked for a channel: "" when there is none.
// Keys of other channels are none of our business; a string is as good as a
// number.
func replayText(channel string, ext json.RawMessage) string {
	var byChannel map[string]json.RawMessage
	if json.Unmarshal(ext, &byChannel) != nil {
		return ""
	}
	return strings.Trim(string(byChannel[channel]), `"`)
}

// start finds the place in the bus where a subscription begins (Streaming API
// guide, Message Durability): -1 new events, -2 all retained ones, otherwise
// behind the id.
func (o *Org) start(text string, members []bool) (cursor int, ok bool) {
	switch text {
	case "", "-1", "null":
		return o.tip(members), true
	case "-2":
		first, _ := o.bus.bounds()
		return first, true
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false
	}
	return o.bus.after(id)
}
