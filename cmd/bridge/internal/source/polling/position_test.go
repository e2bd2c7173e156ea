package polling

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

func at(second int64) time.Time { return time.Unix(second, 0).UTC() }

func fullProgress(n int) progress {
	p := progress{rows: place{at: at(1_772_700_000), id: id(7)}, deletions: place{at: at(1_772_699_940)}, looked: at(1_772_700_031)}
	for i := range n {
		r := row{id: id(i), at: at(1_772_700_000 + int64(i%9)), json: fmt.Appendf(nil, `{"n":%d}`, i)}
		p.seen.put(rowName(r.id, r.at), entry{at: r.at, digest: digestOf(&r)})
	}
	p.seen.put(deletionName(id(1), at(1_772_699_950)), entry{at: at(1_772_699_950), kind: ofDeletion})
	return p
}

// A position says all that a stream goes on with, and no more than so much.
func TestPositionIsRead(t *testing.T) {
	for _, n := range []int{0, 1, maxRemembered - 1} {
		p := fullProgress(n)
		token := p.token()
		got, err := parse(replay.Position(token))
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%d: %v, %v", n, got, err)
		}
		if again := got.token(); again != token {
			t.Errorf("%d: written in two ways", n)
		}
		if len(token) > 16_000 {
			t.Errorf("%d entries take %d bytes", n, len(token))
		}
	}
}

// What somebody asks for by hand is a position, too.
func TestPositionsByHand(t *testing.T) {
	p, err := parse(Everything())
	if err != nil || !p.rows.at.Equal(earliest()) || !p.deletions.at.IsZero() {
		t.Errorf("%v, %v", p, err)
	}
	if p, err = parse(Since(at(1_772_700_000).Add(time.Millisecond))); err != nil || !p.rows.at.Equal(at(1_772_700_000)) || !p.deletions.at.Equal(p.rows.at) || !p.looked.Equal(p.rows.at) {
		t.Errorf("%v, %v", p, err)
	}
}

// A position of another version, or with something in it that is not known, is not
// guessed.
func TestPositionsThatAreNone(t *testing.T) {
	p := fullProgress(3)
	good := p.token()
	for _, token := range []string{
		"", "17", "2" + good[1:], strings.Replace(good, "rows=", "row=", 1), strings.Replace(good, "rows=1", "rows=x", 1),
		"1;deletions=3", good + ";more=1", good[:len(good)-3], strings.Replace(good, "seen=", "seen=!", 1),
	} {
		_, err := from("/query/x", pipeline.Start{After: replay.Position(token)})
		wrong, ok := errors.AsType[*pipeline.PositionError](err)
		if !ok || wrong.Channel != "/query/x" || wrong.Position != token {
			t.Errorf("%q: %v", token, err)
		}
	}
}

func FuzzPosition(f *testing.F) {
	p := fullProgress(3)
	f.Add(p.token())
	f.Add("1;rows=1")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := parse(replay.Position(token))
		if err != nil {
			return
		}
		again, err := parse(replay.Position(p.token()))
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q: %v and %v, %v", token, p, again, err)
		}
	})
}

// The org's time is known from its rows, whatever our clock shows.
func TestClock(t *testing.T) {
	var c clock
	if !c.settled(at(500), time.Second).Equal(earliest()) {
		t.Error("something is settled while nothing is known")
	}
	c.observe(time.Time{}, at(500))
	c.observe(at(1000), at(500))
	c.observe(at(1001), at(510)) // an old row tells nothing
	if got := c.read(at(520)); !got.Equal(at(1020)) {
		t.Errorf("%v", got)
	}
	c.observe(at(1100), at(520))
	if got := c.settled(at(521), 30*time.Second); !got.Equal(at(1071)) {
		t.Errorf("%v", got)
	}
}
