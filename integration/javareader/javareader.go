package javareader

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/kafkatest/maven"
)

const (
	javaRelease = 17
	buildTime   = 3 * time.Minute
	readTime    = 3 * time.Minute
	source      = "src/main/java/Reader.java"
)

//go:embed pom.xml src/main/java/Reader.java envelopes/pom.xml envelopes/Envelopes.java
var project embed.FS

// Record is what the Java program saw of a record.
type Record struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Timestamp int64  `json:"timestamp"` // milliseconds since 1970

	Key     []byte   `json:"key"` // nil: none
	Headers []Header `json:"headers"`

	// Value is the Avro value as plain JSON: a union is the value alone, bytes and
	// fixed are base64, NaN and the infinities are strings, and a long has all its
	// digits. Nil for a tombstone, which has no schema either.
	Value    json.RawMessage `json:"value"`
	Schema   string          `json:"schema"` // full name
	SchemaID int             `json:"schemaId"`
}

// Header is one header of a record.
type Header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// Header returns the value of the first header of that name.
func (r *Record) Header(key string) (value []byte, ok bool) {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value, true
		}
	}
	return nil, false
}

// Program is the compiled Java program.
type Program struct {
	java string
	dir  string // with libs/ and classes/
}

// Build fetches the libraries, compiles the program and keeps both in the cache,
// under the hash of what they are made from. [Read] calls it; a test may call it
// first to have the download outside of what it measures.
func Build(tb testing.TB) *Program {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), buildTime)
	defer cancel()
	p, err := build(ctx, "pom.xml", source)
	if err != nil {
		kafkatest.GiveUp(tb, err)
	}
	return p
}

// build makes the program of a pom and of one source file.
func build(ctx context.Context, pomFile, codeFile string) (*Program, error) {
	pom, err := project.ReadFile(pomFile)
	if err != nil {
		return nil, err
	}
	code, err := project.ReadFile(codeFile)
	if err != nil {
		return nil, err
	}
	java, err := maven.Java(ctx, javaRelease)
	if err != nil {
		return nil, missing(err)
	}
	hash := sha256.New()
	_, _ = hash.Write(pom)
	_, _ = hash.Write(code)
	dir, err := maven.Cached(ctx, fmt.Sprintf("javareader-%x", hash.Sum(nil)[:8]), func(ctx context.Context, dir string) error {
		return compile(ctx, dir, pom, filepath.Base(codeFile), code)
	})
	if err != nil {
		return nil, missing(err)
	}
	return &Program{java: java, dir: dir}, nil
}

func compile(ctx context.Context, dir string, pom []byte, name string, code []byte) error {
	libs, classes, file := filepath.Join(dir, "libs"), filepath.Join(dir, "classes"), filepath.Join(dir, name)
	if err := os.Mkdir(classes, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file, code, 0o600); err != nil {
		return err
	}
	if err := maven.Dependencies(ctx, pom, libs); err != nil {
		return err
	}
	return maven.Compile(ctx, javaRelease, libs, classes, file)
}

// missing tells a machine that lacks something from a program of ours that does
// not compile.
func missing(err error) error {
	var run *maven.RunError
	if errors.As(err, &run) && run.Tool == "javac" {
		return err
	}
	return &kafkatest.UnavailableError{What: "Java client of Kafka", Reasons: []string{err.Error()}}
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
		tb.Fatalf("the Java reader: %v", err)
	}
	return records
}

func (p *Program) read(ctx context.Context, brokers []string, registryURL string, topics []string, want int, limit time.Duration) ([]Record, error) {
	// The program gives up by itself and says how far it came; the context is for
	// one that hangs.
	ctx, cancel := context.WithTimeout(ctx, limit+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", filepath.Join(p.dir, "classes")+string(os.PathListSeparator)+filepath.Join(p.dir, "libs", "*"),
		"Reader", strings.Join(brokers, ","), strings.TrimSuffix(registryURL, "/"), strings.Join(topics, ","),
		strconv.Itoa(want), strconv.Itoa(int(limit.Seconds())))
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
