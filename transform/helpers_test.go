package transform_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
	"github.com/twmb/franz-go/pkg/kgo"
)

const testOrg = "00Dxx0000001gPLEAY"

// registrar counts what it is asked for and gives ids from 1001 on.
type registrar struct {
	subjects []string
	err      error
}

var _ transform.Registrar = (*registrar)(nil)

func (r *registrar) Register(_ context.Context, subject string, _ *schemas.Schema) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	r.subjects = append(r.subjects, subject)
	return 1000 + len(r.subjects), nil
}

// catalogOf serves texts by schema id.
func catalogOf(texts map[string]string) *schemas.Catalog {
	return schemas.NewCatalog(schemas.FetcherFunc(func(_ context.Context, id string) ([]byte, error) {
		text, ok := texts[id]
		if !ok {
			return nil, schemas.Permanent(errors.New("the requested resource does not exist"))
		}
		return []byte(text), nil
	}))
}

func newEncoder(tb testing.TB, cfg transform.Config) *transform.Encoder {
	tb.Helper()
	if cfg.OrgID == "" {
		cfg.OrgID = testOrg
	}
	e, err := transform.NewEncoder(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// sameRecord compares a decoded Avro value with a decoded JSON one; nulls and
// absent fields are the same.
func sameRecord(path string, a, j any) error {
	switch a := a.(type) {
	case map[string]any:
		m, ok := j.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: avro has a record, json %v", path, j)
		}
		for k := range m {
			if _, ok := a[k]; !ok {
				return fmt.Errorf("%s.%s: only json has it", path, k)
			}
		}
		for k := range a {
			if err := sameRecord(path+"."+k, a[k], m[k]); err != nil {
				return err
			}
		}
		return nil
	case []any:
		l, ok := j.([]any)
		if !ok || len(l) != len(a) {
			return fmt.Errorf("%s: avro has %v, json %v", path, a, j)
		}
		for i := range a {
			if err := sameRecord(fmt.Sprintf("%s[%d]", path, i), a[i], l[i]); err != nil {
				return err
			}
		}
		return nil
	case float64:
		if n, ok := j.(json.Number); ok {
			if f, err := n.Float64(); err == nil && f == a {
				return nil
			}
		}
	case int64:
		if n, ok := j.(json.Number); ok && n.String() == fmt.Sprint(a) {
			return nil
		}
	default:
		if a == j {
			return nil
		}
	}
	return fmt.Errorf("%s: avro has %v (%T), json %v (%T)", path, a, a, j, j)
}

func decodeJSON(text []byte) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	return m, nil
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
