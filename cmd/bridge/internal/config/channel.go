package config

import (
	"fmt"
	"strings"
	"time"
)

// ChannelKind is what a channel carries.
type ChannelKind int

// The kinds that this version reads.
const (
	ChangeData    ChannelKind = iota + 1 // /data/…: Change Data Capture
	PlatformEvent                        // /event/…: Platform Events
	PushTopic                            // /topic/…: PushTopics
	Generic                              // /u/…: generic streaming
	Rows                                 // of queries, see Query
)

// Suffixes of Salesforce's names (Change Data Capture guide, Subscription
// Channels; Platform Events guide, Custom Channels).
const (
	suffixChangeEvent   = "ChangeEvent"
	suffixCustomChange  = "__ChangeEvent"
	suffixCustomObject  = "__c"
	suffixPlatformEvent = "__e"
	suffixChannel       = "__chn"
	allChangeEvents     = "ChangeEvents"
)

const onlyKinds = "; the bridge reads Change Data Capture (/data/…), Platform Event (/event/…), PushTopic (/topic/…) and generic streaming (/u/…) channels"

// unsupportedKind knows the first segments that Salesforce has and the bridge
// does not read.
func unsupportedKind(segment string) (what string, known bool) {
	switch segment {
	case "systemTopic":
		return "is a system channel", true
	case "meta", "service":
		return "is one of the protocol's own channels", true
	}
	return "", false
}

// classify tells a channel's kind, and whether it carries several event types,
// or what is wrong with its name. Names are case-sensitive at Salesforce.
func classify(channel string) (kind ChannelKind, multi bool, wrong *valueError) {
	if wrong := channelShape(withoutFilter(channel)); wrong != nil {
		return 0, false, wrong
	}
	segment, name, _ := strings.Cut(strings.TrimPrefix(channel, "/"), "/")
	switch segment {
	case "data":
		multi, wrong = changeDataName(channel, name)
		return ChangeData, multi, wrong
	case "event":
		multi, wrong = platformEventName(channel, name)
		return PlatformEvent, multi, wrong
	case "topic":
		return PushTopic, false, pushTopicName(channel, name)
	case "u":
		return Generic, false, genericName(channel, name)
	}
	if what, known := unsupportedKind(segment); known {
		return 0, false, &valueError{message: quote(channel) + " " + what + onlyKinds}
	}
	wrong = &valueError{message: quote(channel) + " is not a channel that Salesforce has" + onlyKinds}
	switch lower := strings.ToLower(segment); lower {
	case "data", "event", "topic", "u":
		wrong.hint = "/" + lower + "/" + name
	}
	return 0, false, wrong
}

// channelShape checks what all channels have in common: a leading slash, no
// trailing one, no blanks, wildcards or filters.
func channelShape(channel string) *valueError {
	switch {
	case strings.ContainsAny(channel, " \t\r\n"):
		return &valueError{message: quote(channel) + " has a blank in it", hint: strings.Join(strings.Fields(channel), "")}
	case !strings.HasPrefix(channel, "/"):
		return &valueError{message: quote(channel) + " does not begin with a slash", hint: withSlash(channel)}
	case strings.HasSuffix(channel, "/") && strings.Count(channel, "/") > 2: // /event/ lacks a name
		return &valueError{message: quote(channel) + " ends with a slash", hint: strings.TrimRight(channel, "/")}
	case strings.Contains(channel, "*"):
		return &valueError{message: quote(channel) + " is a wildcard, which Salesforce does not serve", hint: "/data/ChangeEvents for all selected entities, or one stream for each channel"}
	}
	return nil
}

// withSlash guesses the channel that was meant by a name without its leading
// slash, or without its kind too.
func withSlash(name string) string {
	if _, _, wrong := classify("/" + name); wrong == nil {
		return "/" + name
	}
	channel := "/data/" + strings.TrimRight(name, "/")
	if _, _, wrong := classify(channel); wrong != nil {
		return wrong.hint
	}
	return channel
}

// changeDataName checks what follows /data/.
func changeDataName(channel, name string) (multi bool, wrong *valueError) {
	notOne := func(hint string) (bool, *valueError) {
		return false, &valueError{message: quote(channel) + " is not a Change Data Capture channel", hint: hint}
	}
	custom, isCustom := cutSuffixFold(name, suffixCustomChange)
	standard, isStandard := cutSuffixFold(name, suffixChangeEvent)
	switch {
	case !isName(name):
		return notOne("/data/AccountChangeEvent")
	case name == allChangeEvents:
		return true, nil
	case strings.EqualFold(name, allChangeEvents):
		return notOne("/data/" + allChangeEvents)
	case strings.HasSuffix(name, suffixChannel) && name != suffixChannel:
		return true, nil
	case isCustom && custom != "":
		want := strings.TrimSuffix(custom, suffixCustomObject) + suffixCustomChange
		if name != want {
			return notOne("/data/" + want)
		}
		return false, nil
	case isStandard && standard != "":
		want := changeEventOf(standard)
		if name != want {
			return notOne("/data/" + want)
		}
		return false, nil
	case strings.HasSuffix(name, suffixPlatformEvent):
		return notOne("/event/" + name)
	case isStandard:
		return notOne("/data/Account" + suffixChangeEvent)
	}
	return notOne("/data/" + changeEventOf(name))
}

// platformEventName checks what follows /event/.
func platformEventName(channel, name string) (multi bool, wrong *valueError) {
	notOne := func(hint string) (bool, *valueError) {
		return false, &valueError{message: quote(channel) + " is not a Platform Event channel", hint: hint}
	}
	switch {
	case !isName(name):
		return notOne("/event/Order__e")
	case strings.HasSuffix(name, suffixChannel) && name != suffixChannel:
		return true, nil
	case strings.HasSuffix(name, suffixPlatformEvent) && name != suffixPlatformEvent:
		return false, nil
	case name == allChangeEvents || strings.HasSuffix(name, suffixChangeEvent):
		return notOne("/data/" + name)
	case strings.HasSuffix(name, suffixCustomObject):
		return notOne("/event/" + strings.TrimSuffix(name, suffixCustomObject) + suffixPlatformEvent)
	case strings.Contains(name, "__"):
		return notOne("/event/Order__e")
	}
	return false, nil
}

// maxPushTopic is Salesforce's bound for the name of a PushTopic (Streaming API
// Developer Guide, "PushTopic").
const maxPushTopic = 25

// withoutFilter is the channel of a PushTopic without the filter that may follow
// its name; of other channels all.
func withoutFilter(channel string) string {
	if !strings.HasPrefix(channel, "/topic/") {
		return channel
	}
	base, _, _ := strings.Cut(channel, "?")
	return base
}

// pushTopicName checks what follows /topic/: a name, and perhaps a filter
// (Streaming API Developer Guide, "Filtered Subscriptions").
func pushTopicName(channel, name string) *valueError {
	name, filter, filtered := strings.Cut(name, "?")
	if !isSegment(name) {
		return &valueError{message: quote(channel) + " is not a PushTopic channel", hint: "/topic/InvoiceUpdates"}
	}
	if len(name) > maxPushTopic {
		return &valueError{message: fmt.Sprintf("%s: the name of a PushTopic has at most %d characters, not %d", quote(channel), maxPushTopic, len(name))}
	}
	if !filtered {
		return nil
	}
	for term := range strings.SplitSeq(filter, "&") {
		if field, value, ok := strings.Cut(term, "="); !ok || !isName(field) || value == "" {
			return &valueError{message: quote(channel) + " has a filter that is not Field=value, with & between several", hint: "/topic/" + name + "?Status__c='Open'"}
		}
	}
	return nil
}

// genericName checks what follows /u/.
func genericName(channel, name string) *valueError {
	for segment := range strings.SplitSeq(name, "/") {
		if !isSegment(segment) {
			return &valueError{message: quote(channel) + " is not a generic streaming channel", hint: "/u/notifications/orders"}
		}
	}
	return nil
}

// isSegment says whether s can be one part of a channel's name (Bayeux 1.0, 2.1).
func isSegment(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-_!~()$@", rune(c)) {
			return false
		}
	}
	return s != ""
}

// changeEventOf names the change event of an entity: Account, Invoice__c.
func changeEventOf(entity string) string {
	if base, ok := strings.CutSuffix(entity, suffixCustomObject); ok {
		return base + suffixCustomChange
	}
	return entity + suffixChangeEvent
}

// Object is the API name of the object whose rows a channel of one entity's change
// events tells of: Account, Invoice__c. It is "" for all other channels.
func (s Stream) Object() string {
	if s.Kind != ChangeData || s.Multi {
		return ""
	}
	name := s.Channel[strings.LastIndexByte(s.Channel, '/')+1:]
	if base, custom := strings.CutSuffix(name, suffixCustomChange); custom {
		return base + suffixCustomObject
	}
	return strings.TrimSuffix(name, suffixChangeEvent)
}

// retention is how long Salesforce keeps the events of a channel (Streaming API
// Developer Guide, "Message Durability").
func (k ChannelKind) retention() time.Duration {
	switch k {
	case PushTopic, Generic:
		return 24 * time.Hour
	case Rows:
		return 0 // they stay as long as their records do
	}
	return documentedRetention
}

// cutSuffixFold is strings.CutSuffix that does not mind the case.
func cutSuffixFold(s, suffix string) (before string, found bool) {
	at := len(s) - len(suffix)
	if at < 0 || !strings.EqualFold(s[at:], suffix) {
		return s, false
	}
	return s[:at], true
}

// isName says whether s is a name as Salesforce gives its entities and fields.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}
