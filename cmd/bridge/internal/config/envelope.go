package config

import "fmt"

// checkEnvelopes holds which formats and envelopes go together, and gives the
// streams theirs.
func (w *walker) checkEnvelopes(c *Config) {
	const global = "envelope"
	if c.Format == FormatRaw && !w.bad["format"] && c.Envelope != EnvelopeEvent && !w.bad[global] {
		w.fail(w.line(global), global, "format raw has the payload as Salesforce sent it, in no envelope", "envelope: event, or format avro or json")
	}
	for i := range c.Streams {
		s, path := &c.Streams[i], index("streams", i)+".envelope"
		rows := s.Kind == ChangeData || s.Kind == PlatformEvent || s.Kind == Rows
		switch {
		case s.Envelope == "" && rows:
			s.Envelope = c.Envelope
		case s.Envelope == "":
			s.Envelope = EnvelopeEvent
		case s.Envelope == EnvelopeEvent || w.bad[path]:
		case !rows:
			w.fail(w.line(path), path, "is for change data (/data/…) and platform events (/event/…); other events have one shape only", "its removal")
		case c.Format == FormatRaw:
			w.fail(w.line(path), path, "format raw has the payload as Salesforce sent it, in no envelope", "envelope: event, or format avro or json")
		}
		if policy := index("streams", i) + ".on_unknown_field"; c.Format == FormatRaw && w.given(policy) {
			w.warn(policy, "is not used by format raw, which asks for no schema and keeps what comes", "its removal")
		}
	}
	w.checkMixture(c)
}

// checkMixture warns of a topic whose records would be of two envelopes.
func (w *walker) checkMixture(c *Config) {
	rules := make([][]topicRule, len(c.Streams))
	for i, s := range c.Streams {
		rules[i] = c.rules(i)
		for j, o := range c.Streams[:i] {
			if s.Envelope != o.Envelope && s.Channel != "" && c.mayMeet(rules[i], rules[j]) {
				path := index("streams", i) + ".channel"
				w.warn(path, fmt.Sprintf("its records have the envelope %s and may go to the same topic as those of %s, which have %s", s.Envelope, index("streams", j), o.Envelope), "one envelope, or a topic of its own")
				break
			}
		}
	}
}

// checkJSONSchema holds what registry.json_schema asks for.
func (w *walker) checkJSONSchema(c *Config) {
	const path, url = "registry.json_schema", "registry.url"
	switch {
	case w.bad["format"]:
	case c.Registry.JSONSchema && c.Format != FormatJSON:
		w.fail(w.line(path), path, "is for format json; this is "+string(c.Format), "format: json, or its removal")
	case c.Registry.JSONSchema:
		w.needs(url, c.Registry.URL == "", "by json_schema", "url: http://localhost:8081")
	case c.Topics.KeyFormat == KeyAvro: // it is the keys' registry
	case c.Format == FormatJSON && c.Registry.URL != "":
		w.warn(url, "is not used by format json", "its removal, or json_schema: true")
	case c.Format == FormatRaw && c.Registry.URL != "":
		w.warn(url, "is not used by format raw", "its removal")
	}
}
