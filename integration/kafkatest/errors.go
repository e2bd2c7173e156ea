package kafkatest

import (
	"errors"
	"strings"
	"testing"
)

// ErrNotOurs is the answer to Kill, Stop and Restart of brokers that
// BRIDGE_TEST_BROKERS named.
var ErrNotOurs = errors.New("the brokers in BRIDGE_TEST_BROKERS are not ours to stop: ask for a private one with Start")

// UnavailableError says that this machine does not have what a test needs.
type UnavailableError struct {
	What    string   // "Apache Kafka", "Apicurio Registry", …
	Reasons []string // one for each way that was tried
	// Optional is what CI may lack too: another reader has read the same.
	Optional bool
}

func (e *UnavailableError) Error() string {
	return "no " + e.What + " to be had here: " + strings.Join(e.Reasons, "; ")
}

// GiveUp ends a test that cannot have what it needs. If err is an
// [*UnavailableError] the test is skipped outside CI, and in CI if what is missing
// is optional there; else it fails in CI. [Main] prints the reason at the end. Any
// other error fails the test.
func GiveUp(tb testing.TB, err error) {
	tb.Helper()
	var missing *UnavailableError
	if !errors.As(err, &missing) {
		tb.Fatal(err)
	}
	state.note(missing)
	if inCI() && !missing.Optional {
		tb.Fatal(err)
	}
	tb.Skip(err) //nolint:forbidigo // what the machine lacks cannot be given to the test; CI, which must have it, has failed above
}
