package orgsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PushTopic defines a PushTopic (Streaming API guide, PushTopic). Its events go to
// /topic/<Name>.
type PushTopic struct {
	Name  string `json:"name"`  // at most 25 characters
	Query string `json:"query"` // SELECT fields FROM object [WHERE a = b AND ...]; Id must be selected
	// NotifyForFields says which fields must change for an update to be told:
	// Referenced (those of SELECT and WHERE; default), Select, Where, or All.
	NotifyForFields string `json:"notifyForFields,omitempty"`
	// The operations that are not told; all four are without these.
	NoCreate   bool `json:"noCreate,omitempty"`
	NoUpdate   bool `json:"noUpdate,omitempty"`
	NoDelete   bool `json:"noDelete,omitempty"`
	NoUndelete bool `json:"noUndelete,omitempty"`
}

// DefaultPushTopic is one on an object of [DefaultObjects].
func DefaultPushTopic() PushTopic {
	return PushTopic{
		Name:  "InvoiceUpdates",
		Query: "SELECT Id, Name, Account__c, Amount__c, Paid__c, Due_Date__c, Sent_At__c, Cutoff__c, Status__c, Tags__c FROM Invoice__c",
	}
}

const (
	maxTopicName  = 25
	maxTopicQuery = 1300
	topicPrefix   = "0IF" // of ids
)

// Values of NotifyForFields.
const (
	NotifyReferenced = "Referenced"
	NotifySelect     = "Select"
	NotifyWhere      = "Where"
	NotifyAll        = "All"
)

// topic is a PushTopic made ready for use.
type topic struct {
	def   PushTopic
	id    string
	typ   *eventType
	ob    *object
	cols  []string // that the query selects
	where []topicTerm
}

// topicTerm is a comparison of a PushTopic's query, or of a subscription's filter.
type topicTerm struct {
	column, op string
	want       any
}

func holdsAll(terms []topicTerm, row map[string]any) bool {
	return !slices.ContainsFunc(terms, func(t topicTerm) bool { return !holds(row[t.column], t.op, t.want) })
}

// note is one event of a PushTopic or of a generic channel in the making.
type note struct {
	typ  *eventType
	kind string         // created, updated, deleted, undeleted; "" for a generic event
	id   string         // of the record
	body []byte         // the sobject or the payload
	row  map[string]any // the selected fields, for filters
}

// CreatePushTopic creates a PushTopic and returns its id.
func (o *Org) CreatePushTopic(def PushTopic) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.ContainsFunc(o.topics, func(t *topic) bool { return strings.EqualFold(t.def.Name, def.Name) }) {
		return "", &RequestError{Status: 400, Code: "DUPLICATE_VALUE", Fields: []string{"Name"}, Message: "duplicate value found: a PushTopic has the name " + def.Name}
	}
	t := &topic{def: def}
	if err := o.compileTopic(t); err != nil {
		return "", err
	}
	t.id = o.topicIDs.id18(topicPrefix)
	name := "/topic/" + def.Name
	t.typ = o.newChannelType(def.Name, def.Name, name)
	o.topics = append(o.topics, t)
	o.addChannel(&channel{name: name, object: t.ob.def.Name, members: only(t.typ), topic: t})
	return t.id, nil
}

// EditPushTopic gives a PushTopic another query. Events published before keep
// the fields that they have.
func (o *Org) EditPushTopic(name, query string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.topicNamed(name)
	if t == nil {
		return errNotFound()
	}
	def := t.def
	def.Query = query
	return o.redefine(t, def)
}

func (o *Org) redefine(t *topic, def PushTopic) error {
	next := &topic{def: def}
	if err := o.compileTopic(next); err != nil {
		return err
	}
	if next.ob != t.ob || def.Name != t.def.Name {
		return &RequestError{Status: 400, Code: "INVALID_FIELD", Fields: []string{"Query"}, Message: "this org changes neither the object nor the name of a PushTopic"}
	}
	t.def, t.cols, t.where = next.def, next.cols, next.where
	return nil
}

func (o *Org) topicNamed(name string) *topic {
	for _, t := range o.topics {
		if t.def.Name == name {
			return t
		}
	}
	return nil
}

// compileTopic reads the definition; the caller holds o.mu.
func (o *Org) compileTopic(t *topic) error {
	bad := func(code, field, format string, args ...any) error {
		return &RequestError{Status: 400, Code: code, Fields: []string{field}, Message: fmt.Sprintf(format, args...)}
	}
	def := &t.def
	orDefault(&def.NotifyForFields, NotifyReferenced)
	m := soqlShape.FindStringSubmatch(def.Query)
	switch {
	case def.Name == "" || strings.ContainsAny(def.Name, "/?* \"'\\"):
		return bad("REQUIRED_FIELD_MISSING", "Name", "a PushTopic needs a name that can be part of a channel")
	case len(def.Name) > maxTopicName:
		return bad("STRING_TOO_LONG", "Name", "PushTopic Name: data value too large: %s (max length=%d)", def.Name, maxTopicName)
	case len(def.Query) > maxTopicQuery:
		return bad("STRING_TOO_LONG", "Query", "SOQL Query: data value too large (max length=%d)", maxTopicQuery)
	case !slices.Contains([]string{NotifyReferenced, NotifySelect, NotifyWhere, NotifyAll}, def.NotifyForFields):
		return bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "NotifyForFields", "bad value for restricted picklist field: %s", def.NotifyForFields)
	case m == nil || m[4] != "" || m[6] != "":
		return bad("INVALID_FIELD", "Query", "the query is not SELECT fields FROM object [WHERE ...]")
	}
	if t.ob = o.objects[m[2]]; t.ob == nil || t.ob.def.IsEvent() {
		return bad("INVALID_FIELD", "Query", "sObject type '%s' is not supported", m[2])
	}
	columns := t.ob.restFields(&record{})
	column := func(name string) (string, error) {
		for c := range columns {
			if strings.EqualFold(c, strings.TrimSpace(name)) {
				return c, nil
			}
		}
		return "", bad("INVALID_FIELD", "Query", "No such column '%s' on entity '%s'", name, m[2])
	}
	for _, name := range strings.Split(m[1], ",") {
		c, err := column(name)
		if err != nil {
			return err
		}
		t.cols = append(t.cols, c)
	}
	if !slices.Contains(t.cols, "Id") {
		return bad("INVALID_FIELD", "Query", "the query must select the Id")
	}
	for _, text := range soqlAnd.Split(m[3], -1) {
		term := soqlTerm.FindStringSubmatch(text)
		if term == nil && m[3] == "" {
			continue
		}
		if term == nil {
			return bad("MALFORMED_QUERY", "Query", "unexpected token: %s", text)
		}
		c, err := column(term[1])
		if err != nil {
			return err
		}
		t.where = append(t.where, topicTerm{c, term[2], literal(term[3])})
	}
	return nil
}

// notes are the events of all PushTopics for what a transaction did. Those of one
// transaction come in reverse (Streaming API guide, PushTopic events).
func (tx *Tx) notes(done []settled) []rendered {
	var out []rendered
	for _, d := range slices.Backward(done) {
		var all map[string]any
		for _, t := range tx.o.topics {
			if t.ob != d.s.ob || !t.tells(d) {
				continue
			}
			if all == nil {
				all = d.s.ob.restFields(d.s.rec)
			}
			if !holdsAll(t.where, all) {
				continue
			}
			out = append(out, rendered{note: t.note(d, all)})
		}
	}
	return out
}

// settled is what a transaction did to one record.
type settled struct {
	s      *staged
	change string // CREATE, UPDATE, DELETE, UNDELETE
}

// tells says whether the operation, and the fields that it changed, are among
// those that the PushTopic notifies of.
func (t *topic) tells(d settled) bool {
	switch d.change {
	case "CREATE":
		return !t.def.NoCreate
	case "DELETE":
		return !t.def.NoDelete
	case "UNDELETE":
		return !t.def.NoUndelete
	}
	if t.def.NoUpdate {
		return false
	}
	if t.def.NotifyForFields == NotifyAll {
		return true
	}
	if t.def.NotifyForFields != NotifyWhere && slices.ContainsFunc(t.cols, d.s.changedColumn) {
		return true
	}
	return t.def.NotifyForFields != NotifySelect && slices.ContainsFunc(t.where, func(w topicTerm) bool { return d.s.changedColumn(w.column) })
}

// changedColumn says whether an update changed a column.
func (s *staged) changedColumn(name string) bool {
	c, ok := s.ob.columns[name]
	if !ok {
		return name == "SystemModstamp"
	}
	value := func(vals []any) any {
		if c.field >= len(vals) {
			return nil
		}
		if parts, ok := vals[c.field].([]any); ok && c.part >= 0 {
			return parts[c.part]
		}
		return vals[c.field]
	}
	return !sameValue(value(s.before), value(s.rec.vals))
}

func (t *topic) note(d settled, all map[string]any) *note {
	n := &note{typ: t.typ, id: d.s.rec.id, row: make(map[string]any, len(t.cols))}
	n.kind = map[string]string{"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted", "UNDELETE": "undeleted"}[d.change]
	for _, c := range t.cols {
		n.row[c] = all[c]
	}
	n.body = append(n.body, '{')
	for i, c := range t.cols {
		if d.change == "DELETE" && c != "Id" {
			continue // a deletion tells the Id alone
		}
		if i > 0 && len(n.body) > 1 {
			n.body = append(n.body, ',')
		}
		n.body = appendString(n.body, c)
		n.body = append(n.body, ':')
		n.body = appendJSON(n.body, all[c])
	}
	n.body = append(n.body, '}')
	return n
}

// appendJSON writes a value of restFields.
func appendJSON(dst []byte, v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // restFields holds nothing else
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// log makes the note the event of the bus that its ids say.
func (n *note) log(o *Org, replay, commit int64, key string) logged {
	e := logged{replay: replay, commit: commit, typ: n.typ, change: n.kind, key: key, row: n.row}
	if n.id != "" {
		e.ids = []string{n.id}
	}
	dst := append(o.scratch[:0], `{"event":{"createdDate":"`...)
	dst = time.UnixMilli(commit).UTC().AppendFormat(dst, eventTimeLayout)
	dst = strconv.AppendInt(append(dst, `","replayId":`...), replay, 10)
	member := `},"payload":`
	if n.kind != "" {
		dst = append(append(append(dst, `,"type":"`...), n.kind...), '"')
		member = `},"sobject":`
	}
	dst = append(dst, member...)
	e.payload[0] = len(dst)
	dst = append(dst, n.body...)
	e.payload[1] = len(dst)
	o.scratch = append(dst, '}')
	e.data = o.bus.keep(o.scratch)
	return e
}

// filterOf reads the filter of a subscription to a PushTopic, Field=value with &
// between several (Streaming API guide, Filtered Subscriptions). text is the
// refusal.
func (t *topic) filterOf(filter string) (terms []topicTerm, text string) {
	if filter == "" {
		return nil, ""
	}
	var unknown []string
	for _, part := range strings.Split(filter, "&") {
		field, value, _ := strings.Cut(part, "=")
		if !slices.Contains(t.cols, field) {
			unknown = append(unknown, field)
		}
		terms = append(terms, topicTerm{field, "=", literal(value)})
	}
	if len(unknown) > 0 {
		return nil, "400::Query fields {" + strings.Join(unknown, ", ") + "} do not exist on the topic entity"
	}
	return terms, ""
}

// On says whether a subscription to the channel, which may have the filter of a
// PushTopic, gets the event.
func (e Entry) On(channel string) bool {
	base, filter, filtered := strings.Cut(channel, "?")
	if !slices.Contains(e.Channels, base) || !filtered {
		return slices.Contains(e.Channels, channel)
	}
	var terms []topicTerm
	for _, part := range strings.Split(filter, "&") {
		field, value, _ := strings.Cut(part, "=")
		terms = append(terms, topicTerm{field, "=", literal(value)})
	}
	return holdsAll(terms, e.row)
}
