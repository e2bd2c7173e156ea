package cometd

import "strings"

// replayKey is the name of a channel in the replay extension: the channel
// without the filter of a PushTopic. Events of a filtered subscription come
// under this name.
func replayKey(channel string) string {
	key, _, _ := strings.Cut(channel, "?")
	return key
}

// checkChannel refuses names that no server could take, before they travel.
func checkChannel(channel string) error {
	problem := ""
	key := replayKey(channel)
	switch {
	case !strings.HasPrefix(channel, "/"):
		problem = "must begin with a slash"
	case strings.HasPrefix(key, "/meta/"), strings.HasPrefix(key, "/service/"):
		problem = "is a channel of the protocol, not one to subscribe to"
	case strings.HasSuffix(key, "/"), strings.Contains(key, "//"):
		problem = "must not have empty segments"
	case strings.Contains(key, "*"):
		problem = "must not have wild cards: Salesforce does not support them"
	case strings.ContainsFunc(channel, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
		problem = "must not have control characters or invalid UTF-8"
	case strings.ContainsAny(key, " \"\\"):
		problem = "must not have spaces, quotes or backslashes"
	}
	if problem == "" {
		return nil
	}
	return &ChannelError{Channel: channel, Problem: problem}
}

// carries says whether a subscription to the channel many can bring events of
// another channel: "/data/ChangeEvents" and custom channels ("/data/X__chn",
// "/event/X__chn") have many kinds of events (Change Data Capture guide,
// "Subscription Channels"; Platform Events guide, "Custom Channels").
func carries(many, channel string) bool {
	prefix := "/data/"
	if !strings.HasPrefix(many, prefix) {
		prefix = "/event/"
	}
	return manyEvents(many) && !manyEvents(channel) && strings.HasPrefix(many, prefix) && strings.HasPrefix(channel, prefix)
}

func manyEvents(channel string) bool {
	return channel == "/data/ChangeEvents" || strings.HasSuffix(channel, "__chn")
}

// isJSON says whether a content type claims JSON. No claim counts as one.
func isJSON(contentType string) bool {
	return contentType == "" || strings.Contains(strings.ToLower(contentType), "json")
}
