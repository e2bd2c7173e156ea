package orgsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const (
	channelPrefix     = "0M6" // of ids
	maxGenericPayload = 3000
)

// streamingChannel is a channel of generic streaming (Streaming API guide,
// StreamingChannel).
type streamingChannel struct {
	name, id string
	typ      *eventType
}

// CreateStreamingChannel creates a generic channel, /u/..., and returns its id.
func (o *Org) CreateStreamingChannel(name string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rest, ok := strings.CutPrefix(name, "/u/")
	switch {
	case !ok || rest == "" || strings.Contains(name, "//") || strings.HasSuffix(name, "/") || strings.ContainsAny(name, "?* \"'\\"):
		return "", &RequestError{Status: 400, Code: "INVALID_INPUT", Fields: []string{"Name"}, Message: "the name of a streaming channel begins with /u/ and is " + quoted(name)}
	case slices.ContainsFunc(o.generic, func(c *streamingChannel) bool { return strings.EqualFold(c.name, name) }):
		return "", &RequestError{Status: 400, Code: "DUPLICATE_VALUE", Fields: []string{"Name"}, Message: "duplicate value found: a streaming channel has the name " + name}
	}
	c := &streamingChannel{name: name, id: o.topicIDs.id18(channelPrefix), typ: o.newChannelType(name, name, name)}
	o.generic = append(o.generic, c)
	o.addChannel(&channel{name: name, members: only(c.typ)})
	return c.id, nil
}

// Push publishes a text on a generic channel.
func (o *Org) Push(name, payload string) error {
	if len(payload) > maxGenericPayload {
		return &RequestError{Status: 400, Code: "STRING_TOO_LONG", Message: fmt.Sprintf("the payload has %d bytes, at most %d are allowed", len(payload), maxGenericPayload)}
	}
	return o.push(name, appendString(nil, strings.ToValidUTF8(payload, "\uFFFD")))
}

// PushJSON publishes a payload that need be no text, which the real service does
// not: for clients that must come through it.
func (o *Org) PushJSON(name string, payload json.RawMessage) error {
	if !json.Valid(payload) {
		return &RequestError{Status: 400, Code: "JSON_PARSER_ERROR", Message: "the payload is not JSON"}
	}
	return o.push(name, slices.Clone(payload))
}

func (o *Org) push(name string, body []byte) error {
	o.tick()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.generic {
		if c.name == name {
			o.put(o.users[0].id, "", []rendered{{note: &note{typ: c.typ, body: body}}})
			return nil
		}
	}
	return errNotFound()
}

// newChannelType makes the type of the events of one channel; the caller holds
// o.mu.
func (o *Org) newChannelType(name, object, channel string) *eventType {
	t := &eventType{index: len(o.order) + o.channelTypes, name: name, object: object, channels: []string{channel}}
	o.channelTypes++
	return t
}

// only are the members of a channel with one type of event.
func only(t *eventType) []bool {
	members := make([]bool, t.index+1)
	members[t.index] = true
	return members
}

// has says whether the members of a channel, or of a subscription made before the
// type was, include it.
func has(members []bool, t *eventType) bool { return t.index < len(members) && members[t.index] }

// pushTopics serves sobjects/PushTopic.
func (c *restCall) pushTopics(path []string) error {
	if c.user.denied["PushTopic"] || len(path) > 1 {
		return errNotFound()
	}
	if len(path) == 0 {
		return c.newPushTopic()
	}
	c.o.mu.Lock()
	i := slices.IndexFunc(c.o.topics, func(t *topic) bool { return t.id == ID18(path[0]) })
	c.o.mu.Unlock()
	if i < 0 {
		return errNotFound()
	}
	switch c.r.Method {
	case http.MethodGet:
		return c.oneOf("PushTopic", path[0])
	case http.MethodPatch:
		fields, err := c.body()
		if err != nil {
			return err
		}
		c.o.mu.Lock()
		t := c.o.topics[i]
		def := t.def
		if err = def.lay(fields); err == nil {
			err = c.o.redefine(t, def)
		}
		c.o.mu.Unlock()
		if err == nil {
			c.w.WriteHeader(http.StatusNoContent)
		}
		return err
	}
	return c.method(http.MethodGet, http.MethodPatch)
}

func (c *restCall) newPushTopic() error {
	if err := c.method(http.MethodPost); err != nil {
		return err
	}
	fields, err := c.body()
	if err != nil {
		return err
	}
	var def PushTopic
	if err := def.lay(fields); err != nil {
		return err
	}
	id, err := c.o.CreatePushTopic(def)
	return c.created("PushTopic", id, err)
}

func (c *restCall) created(object, id string, err error) error {
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", c.base()+"/sobjects/"+object+"/"+id)
	writeJSON(c.w, http.StatusCreated, map[string]any{"id": id, "success": true, "errors": []any{}})
	return nil
}

// oneOf answers with one row of a table that is no object of the org's.
func (c *restCall) oneOf(object, id string) error {
	if c.user.denied[object] {
		return errNotFound()
	}
	c.o.mu.Lock()
	rows := c.o.streamingRows(object, c.version)
	c.o.mu.Unlock()
	for _, row := range rows {
		if row["Id"] == ID18(id) {
			row["attributes"] = c.attributes(object, ID18(id))
			c.ok(row)
			return nil
		}
	}
	return errNotFound()
}

// lay lays the fields of a PushTopic, named as REST names them, over the
// definition.
func (p *PushTopic) lay(fields Fields) error {
	texts := map[string]*string{"Name": &p.Name, "Query": &p.Query, "NotifyForFields": &p.NotifyForFields}
	silent := map[string]*bool{
		"NotifyForOperationCreate": &p.NoCreate, "NotifyForOperationUpdate": &p.NoUpdate,
		"NotifyForOperationDelete": &p.NoDelete, "NotifyForOperationUndelete": &p.NoUndelete,
	}
	for _, name := range sortedKeys(fields) {
		text, isText := fields[name].(string)
		on, isBool := fields[name].(bool)
		switch {
		case texts[name] != nil && isText:
			*texts[name] = text
		case silent[name] != nil && isBool:
			*silent[name] = !on
		case name == "ApiVersion", name == "Description", name == "IsActive" && isBool && on:
		default:
			return &RequestError{Status: 400, Code: "INVALID_FIELD", Fields: []string{name}, Message: fmt.Sprintf("No such column '%s' on sobject of type PushTopic, or not with the value %v in this org", name, fields[name])}
		}
	}
	return nil
}

// streamingRows are the rows of the tables that hold channels; the caller holds
// o.mu.
func (o *Org) streamingRows(object, version string) []map[string]any {
	var rows []map[string]any
	if object == "StreamingChannel" {
		for _, ch := range o.generic {
			rows = append(rows, map[string]any{"Id": ch.id, "Name": ch.name, "Description": nil, "IsDynamic": false})
		}
		return rows
	}
	apiVersion, err := json.Number(version).Float64()
	if err != nil {
		apiVersion = 0
	}
	for _, t := range o.topics {
		rows = append(rows, map[string]any{
			"Id": t.id, "Name": t.def.Name, "Query": t.def.Query, "ApiVersion": apiVersion, "IsActive": true, "Description": nil,
			"NotifyForFields": t.def.NotifyForFields, "NotifyForOperationCreate": !t.def.NoCreate, "NotifyForOperationUpdate": !t.def.NoUpdate,
			"NotifyForOperationDelete": !t.def.NoDelete, "NotifyForOperationUndelete": !t.def.NoUndelete,
		})
	}
	return rows
}

// streamingChannels serves sobjects/StreamingChannel, and push below it.
func (c *restCall) streamingChannels(path []string) error {
	if len(path) == 0 {
		if err := c.method(http.MethodPost); err != nil {
			return err
		}
		fields, err := c.body()
		if err != nil {
			return err
		}
		name, _ := fields["Name"].(string)
		id, err := c.o.CreateStreamingChannel(name)
		return c.created("StreamingChannel", id, err)
	}
	if len(path) == 1 {
		if err := c.method(http.MethodGet); err != nil {
			return err
		}
		return c.oneOf("StreamingChannel", path[0])
	}
	c.o.mu.Lock()
	i := slices.IndexFunc(c.o.generic, func(g *streamingChannel) bool { return g.id == ID18(path[0]) })
	name := ""
	if i >= 0 {
		name = c.o.generic[i].name
	}
	c.o.mu.Unlock()
	if name == "" || len(path) != 2 || path[1] != "push" {
		return errNotFound()
	}
	if c.r.Method == http.MethodGet {
		c.ok(map[string]any{"OnlineUserIds": []string{}, "ChannelName": name})
		return nil
	}
	return c.pushEvents(name)
}

// pushEvents is POST …/push. A push to single users reaches nobody here.
func (c *restCall) pushEvents(name string) error {
	if err := c.method(http.MethodGet, http.MethodPost); err != nil {
		return err
	}
	var q struct {
		PushEvents []struct {
			Payload string   `json:"payload"`
			UserIDs []string `json:"userIds"`
		} `json:"pushEvents"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, 6<<20)).Decode(&q); err != nil || len(q.PushEvents) == 0 {
		return &RequestError{Status: 400, Code: "JSON_PARSER_ERROR", Message: "pushEvents is missing, or a payload is not a text"}
	}
	var out []any
	for _, e := range q.PushEvents {
		online := map[string]bool{}
		for _, id := range e.UserIDs {
			online[id] = false
		}
		fanout := 0
		if len(e.UserIDs) == 0 {
			fanout = -1
			if err := c.o.Push(name, e.Payload); err != nil {
				return err
			}
		}
		out = append(out, map[string]any{"fanoutCount": fanout, "userOnlineStatus": online})
	}
	c.ok(out)
	return nil
}
