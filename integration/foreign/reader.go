package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

const readTime = 3 * time.Minute

// Reader is a program in another language that reads topics. The packages below
// make them.
type Reader struct {
	Language string

	// Command returns the program, ready to start with the arguments BROKERS
	// REGISTRY_URL TOPIC,TOPIC,… WANT SECONDS. It is killed with the context.
	Command func(ctx context.Context, args ...string) *exec.Cmd
}

// Query says what to read.
type Query struct {
	Brokers  []string
	Registry string // its REST API's URL: what stands before /schemas/ids
	Topics   []string
	Want     int           // how many records there are at least
	Limit    time.Duration // when the program gives up
}

// Read reads topics from their beginnings until it has at least want records and
// has reached the ends that all partitions have then. It waits for topics that are
// not there yet. Records of one partition come in its order.
//
// It fails the test if the records are not there after three minutes, or a little
// before the test's own deadline.
func (r *Reader) Read(tb testing.TB, brokers []string, registryURL string, topics []string, want int) []Record {
	tb.Helper()
	limit := readTime
	if t, ok := tb.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := t.Deadline(); ok {
			limit = max(time.Second, min(limit, time.Until(end)-10*time.Second))
		}
	}
	records, err := r.Run(tb.Context(), Query{Brokers: brokers, Registry: registryURL, Topics: topics, Want: want, Limit: limit})
	if err != nil {
		tb.Fatal(err)
	}
	return records
}

// Run is [Reader.Read] where an error is what is asked for.
func (r *Reader) Run(ctx context.Context, q Query) ([]Record, error) {
	// The program gives up by itself and says how far it came; the context is for
	// one that hangs.
	ctx, cancel := context.WithTimeout(ctx, q.Limit+30*time.Second)
	defer cancel()
	cmd := r.Command(ctx, strings.Join(q.Brokers, ","), strings.TrimSuffix(q.Registry, "/"), strings.Join(q.Topics, ","),
		strconv.Itoa(q.Want), strconv.Itoa(int(q.Limit.Seconds())))
	records, err := run(cmd)
	if err != nil {
		return nil, fmt.Errorf("the reader in %s: %w", r.Language, err)
	}
	return records, nil
}

func run(cmd *exec.Cmd) ([]Record, error) {
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	records, decodeErr := decode(out)
	if decodeErr != nil {
		// Or the program would wait for ever to be read.
		_, _ = io.Copy(io.Discard, out)
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w after %d records: %s", err, len(records), strings.TrimSpace(said.String()))
	}
	if decodeErr != nil {
		return nil, fmt.Errorf("its output after %d records: %w", len(records), decodeErr)
	}
	return records, nil
}

func decode(in io.Reader) ([]Record, error) {
	var records []Record
	for lines := json.NewDecoder(in); ; {
		var r Record
		err := lines.Decode(&r)
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		records = append(records, r)
	}
}
