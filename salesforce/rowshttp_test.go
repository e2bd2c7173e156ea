package salesforce_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// stallOrg is an org whose nth reply stops coming after its beginning.
type stallOrg struct {
	*rowsOrg
	at   int
	mute bool // not even the beginning comes
}

func (o stallOrg) RoundTrip(r *http.Request) (*http.Response, error) {
	stall := len(o.asked) == o.at
	resp, err := o.rowsOrg.RoundTrip(r)
	if stall && o.mute {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if stall && err == nil {
		resp.Body = io.NopCloser(io.MultiReader(io.LimitReader(resp.Body, 300), untilDone{r.Context()}))
	}
	return resp, err
}

type untilDone struct{ ctx context.Context }

func (u untilDone) Read([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, u.ctx.Err()
}

// TestRowsStall: a reply that brings nothing for a minute is asked for again, with
// the waiting that a reader does by itself; a slow reader of rows is no stall. One
// that does not begin has three.
func TestRowsStall(t *testing.T) {
	for name, open := range readers() {
		for _, mute := range []bool{false, true} {
			stallOnce(t, name, open, mute)
		}
	}
}

func stallOnce(t *testing.T, name string, open openRows, mute bool) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			org := newRowsOrg(smallRows)
			stalled := map[string]int{"bulk": 2}[name]
			reader := newReader(t, stallOrg{org, stalled, mute}, func(c *salesforce.ReaderConfig) { c.Wait = nil })
			rows, err := open(reader, t.Context(), rowsForm(t), org)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			first, err := rows.Next()
			if err != nil || first.ID != org.rows[0].id {
				t.Fatalf("%+v, %v", first, err)
			}
			<-time.After(time.Hour)
			rest, err := readAll(rows)
			if err := errors.Join(err, rows.Close()); err != nil {
				t.Fatal(err)
			}
			sameRows(t, append(org.rows[:1:1], rest...), org.rows)
			least := 61 * time.Second
			if mute {
				least = 181 * time.Second
			}
			if took := time.Since(began) - time.Hour; took < least || took > least+4*time.Second {
				t.Errorf("took %v more, want %v", took, least)
			}
		})
	})
}

// TestRowsOverTCP: pages that a real server packs and breaks off.
func TestRowsOverTCP(t *testing.T) {
	for _, packed := range []bool{false, true} {
		for name, open := range readers() {
			org := newRowsOrg(300)
			org.batch = 70
			var broken atomic.Int64
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				resp, err := org.RoundTrip(r)
				if err != nil {
					panic(http.ErrAbortHandler)
				}
				text, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Error(err)
				}
				if packed && len(text) > 0 {
					var b bytes.Buffer
					z := gzip.NewWriter(&b)
					_, _ = z.Write(text)
					_ = z.Close()
					text = b.Bytes()
					resp.Header.Set("Content-Encoding", "gzip")
				}
				for key, values := range resp.Header {
					w.Header()[key] = values
				}
				w.WriteHeader(resp.StatusCode)
				if len(text) > 400 && broken.Add(1) <= 2 {
					_, _ = w.Write(text[:len(text)*2/3])
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
				_, _ = w.Write(text)
			})
			client := newClient(t, server, "x")
			reader, err := salesforce.NewReader(salesforce.ReaderConfig{
				Client: client, PageRows: 100, BulkPageRows: 100, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
			})
			if err != nil {
				t.Fatal(err)
			}
			rows, err := open(reader, wait(t), rowsForm(t), org)
			if err != nil {
				t.Fatal(err)
			}
			got, err := readAll(rows)
			if err := errors.Join(err, rows.Close()); err != nil {
				t.Fatalf("%s, packed %v: %v", name, packed, err)
			}
			sameRows(t, got, org.rows)
			if broken.Load() < 2 {
				t.Errorf("%s, packed %v: %d replies broken", name, packed, broken.Load())
			}
		}
	}
}
