package snapshot

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sfbridge/bridge/salesforce"
)

const headerField = "ChangeEventHeader"

// eventSchema is what a Shape needs to know of the schema of an object's events.
type eventSchema struct {
	id   string
	body []string // names of the fields behind the header
	// neutral are members of the header, with a comma behind each, that say of a change
	// that nobody knows a transaction of it.
	neutral string
}

type schemaField struct {
	Name    string          `json:"name"`
	Type    json.RawMessage `json:"type"`
	Default json.RawMessage `json:"default"`
}

// readSchema reads the COMPACT text of a schema. problem says what is wrong with it.
func readSchema(text []byte) (s eventSchema, problem string) {
	var schema struct {
		UUID   string        `json:"uuid"` // the schema's id
		Fields []schemaField `json:"fields"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		return s, "the text is no schema: " + err.Error()
	}
	if schema.UUID == "" {
		return s, "the id is missing"
	}
	s.id = schema.UUID
	hasHeader := false
	for _, f := range schema.Fields {
		if f.Name != headerField {
			s.body = append(s.body, f.Name)
			continue
		}
		hasHeader = true
		if s.neutral, problem = neutralHeader(f.Type); problem != "" {
			return s, problem
		}
	}
	if !hasHeader {
		return s, "the field " + headerField + " is missing"
	}
	return s, ""
}

// neutralHeader gives the header's fields a value that says nothing: those that the
// header of a row fills in are left out, and so are those that may be absent. One that
// is not known to this version and must be there is filled by its type (I5).
func neutralHeader(text json.RawMessage) (members, problem string) {
	var header struct {
		Fields []schemaField `json:"fields"`
	}
	if err := json.Unmarshal(text, &header); err != nil {
		return "", "the header is no record: " + err.Error()
	}
	for _, f := range header.Fields {
		switch f.Name {
		case "entityName", "recordIds", "changeType", "commitTimestamp", "changedFields", "nulledFields", "diffFields":
			continue
		}
		if f.Default != nil {
			continue
		}
		value, ok := neutralValue(f.Type)
		if !ok {
			return "", "the header's field " + f.Name + " must have a value, and of its type " + string(f.Type) + " none says nothing"
		}
		members += quoted(f.Name) + ":" + value + ","
	}
	return members, ""
}

// neutralValue is null where the type allows it, else its zero.
func neutralValue(text json.RawMessage) (value string, ok bool) {
	var branches []json.RawMessage
	if json.Unmarshal(text, &branches) == nil {
		if slices.ContainsFunc(branches, func(b json.RawMessage) bool { return string(b) == `"null"` }) {
			return "null", true
		}
		if len(branches) == 0 {
			return "", false
		}
		return neutralValue(branches[0])
	}
	var named struct {
		Type json.RawMessage `json:"type"`
	}
	if json.Unmarshal(text, &named) == nil {
		text = named.Type // of {"type":"array","items":…} or {"type":"string",…}
	}
	switch string(text) {
	case `"string"`:
		return `""`, true
	case `"int"`, `"long"`, `"float"`, `"double"`:
		return "0", true
	case `"boolean"`:
		return "false", true
	case `"array"`:
		return "[]", true
	}
	return "", false
}

// head is a payload of a change up to the record's id.
func (s *eventSchema) head(object, change string, changed []string) string {
	for i := range changed {
		changed[i] = quoted(changed[i])
	}
	return `{"` + headerField + `":{` + s.neutral + `"entityName":` + quoted(object) + `,"changeType":"` + change +
		`","changedFields":[` + strings.Join(changed, ",") + `],"recordIds":["`
}

// carried names the fields that rows speak for, nil if those are all. A compound field
// that lacks a part is not among them: the row does not say all of it.
func carried(body []string, described *salesforce.Describe, left []salesforce.LeftField) []string {
	if len(left) == 0 {
		return nil
	}
	lacks := map[string]bool{}
	for _, l := range left {
		lacks[l.Name] = true
		for _, f := range described.Fields {
			if f.Name == l.Name {
				lacks[f.CompoundName] = true
			}
		}
	}
	names := []string{}
	for _, name := range body {
		if !lacks[name] {
			names = append(names, name)
		}
	}
	return names
}

// quoted is a text as JSON. Names have nothing that needs an escape.
func quoted(text string) string { return `"` + text + `"` }
