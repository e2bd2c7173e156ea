package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// field is one field of a record, as text to show.
type field struct {
	Name, Value string
}

// systemFields move with every change and tell nothing.
var systemFields = []string{"ChangeEventHeader", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "OwnerId"}

// changed lists what a decoded value says: the fields that have a value and
// those that were cleared, compound fields by their parts.
func changed(value []byte) ([]field, error) {
	var header struct {
		ChangeEventHeader struct {
			NulledFields []string `json:"nulledFields"`
		}
	}
	if err := json.Unmarshal(value, &header); err != nil {
		return nil, err
	}
	fields, err := flatten(nil, "", value)
	if err != nil {
		return nil, err
	}
	for _, name := range header.ChangeEventHeader.NulledFields {
		fields = append(fields, field{Name: name, Value: "null"})
	}
	return fields, nil
}

// flatten appends the fields of an object, in its order, that are not null.
func flatten(out []field, prefix string, object []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		path := fmt.Sprint(prefix, name)
		switch {
		case string(value) == "null" || slices.Contains(systemFields, path):
		case value[0] == '{':
			if out, err = flatten(out, path+".", value); err != nil {
				return nil, err
			}
		default:
			text := string(value)
			if value[0] == '"' {
				if err := json.Unmarshal(value, &text); err != nil {
					return nil, err
				}
			}
			out = append(out, field{Name: path, Value: text})
		}
	}
	return out, nil
}
