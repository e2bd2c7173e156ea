package schemas_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/schemas"
)

// The schema of keys is registered as Avro's "string", found again where schemas
// are only looked up, and believed only under an id that stands for it.
func TestStringKey(t *testing.T) {
	fake, r := strict(t, never)
	id, err := r.Register(t.Context(), "x-key", schemas.StringKey())
	if err != nil {
		t.Fatal(err)
	}
	got, found := fake.GetSchema("x-key", 1)
	if !found || got.Schema.Schema != `"string"` || got.ID != id {
		t.Errorf("registered is %+v", got)
	}
	_, only := strict(t, never, lookUpOnly)
	var missing *schemas.NotRegisteredError
	if _, err := only.Register(t.Context(), "x-key", schemas.StringKey()); !errors.As(err, &missing) || schemas.Retryable(err) {
		t.Errorf("got %v", err)
	}
	for text, want := range map[string]string{
		`"string"`:             "",
		` {"type": "string"} `: "",
		`"bytes"`:              "that of another schema",
		string(goodText):       "that of another schema",
		`{"type":`:             "cannot be read",
	} {
		r := newRegistry(t, func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet {
				fmt.Fprintf(w, `{"schema":%q}`, text)
				return
			}
			fmt.Fprint(w, `{"id":7}`)
		})
		id, err := r.Register(t.Context(), "x-key", schemas.StringKey())
		switch {
		case want == "" && (err != nil || id != 7):
			t.Errorf("%s: %d, %v", text, id, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
