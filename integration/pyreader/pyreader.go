package pyreader

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/javareader"
	"github.com/sfbridge/bridge/integration/kafkatest"
)

const (
	buildTime = 5 * time.Minute
	readTime  = 3 * time.Minute
)

//go:embed read_topics.py
var program []byte

// Record is what the Python program saw of a record, in the form in which the
// Java program says it, so that one judge can look at both.
type Record = javareader.Record

// Program is the Python program with the environment that it runs in.
type Program struct {
	python string // of the venv
}

// Build makes the environment and keeps it in the cache, under the hash of what
// it is made from. [Read] calls it; a test may call it first to have the download
// outside of what it measures.
func Build(tb testing.TB) *Program {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), buildTime)
	defer cancel()
	p, err := build(ctx)
	if err != nil {
		kafkatest.GiveUp(tb, err)
	}
	return p
}

// Read reads topics from their beginnings until it has at least want records and
// has reached the ends that all partitions have then. registryURL is that of the
// REST API: what stands before /schemas/ids. It waits for topics that are not
// there yet. Records of one partition come in its order.
//
// It fails the test if the records are not there after three minutes, or a little
// before the test's own deadline.
func Read(tb testing.TB, brokers []string, registryURL string, topics []string, want int) []Record {
	tb.Helper()
	p := Build(tb)
	limit := readTime
	if t, ok := tb.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := t.Deadline(); ok {
			limit = max(time.Second, min(limit, time.Until(end)-10*time.Second))
		}
	}
	records, err := p.read(tb.Context(), brokers, registryURL, topics, want, limit)
	if err != nil {
		tb.Fatalf("the Python reader: %v", err)
	}
	return records
}

func (p *Program) read(ctx context.Context, brokers []string, registryURL string, topics []string, want int, limit time.Duration) ([]Record, error) {
	// The program gives up by itself and says how far it came; the context is for
	// one that hangs.
	ctx, cancel := context.WithTimeout(ctx, limit+30*time.Second)
	defer cancel()
	// -I: nothing of the machine's own Python settings and packages takes part.
	cmd := exec.CommandContext(ctx, p.python, "-I", "-", strings.Join(brokers, ","), strings.TrimSuffix(registryURL, "/"),
		strings.Join(topics, ","), strconv.Itoa(want), strconv.Itoa(int(limit.Seconds())))
	// The registry is a neighbour: what leads out of the house does not lead there.
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*")
	cmd.Stdin = bytes.NewReader(program)
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
