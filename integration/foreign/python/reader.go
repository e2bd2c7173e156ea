package python

import (
	"bytes"
	"context"
	_ "embed"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/foreign"
	"github.com/sfbridge/bridge/integration/kafkatest"
)

const buildTime = 5 * time.Minute

//go:embed read_topics.py
var program []byte

// Reader makes the reader of topics. A test that measures calls it first, to have
// the download outside.
func Reader(tb testing.TB) *foreign.Reader {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), buildTime)
	defer cancel()
	interpreter, err := build(ctx)
	if err != nil {
		kafkatest.GiveUp(tb, err)
	}
	return &foreign.Reader{Language: "Python", Command: func(ctx context.Context, args ...string) *exec.Cmd {
		// -I: nothing of the machine's own Python settings and packages takes part.
		cmd := exec.CommandContext(ctx, interpreter, append([]string{"-I", "-"}, args...)...)
		// The registry is a neighbour: what leads out of the house does not lead there.
		cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*")
		cmd.Stdin = bytes.NewReader(program)
		return cmd
	}}
}
