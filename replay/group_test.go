package replay

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// shared is what several members of a group see of who owns what. A lane with two
// owners that both think so is a failure, unless one of them was cut off.
type shared struct {
	t      *testing.T
	mu     sync.Mutex
	owners map[int32]string
	moves  map[int32]int // how often a lane changed its owner
	moved  chan struct{}
	cut    map[string]bool
}

func newShared(t *testing.T) *shared {
	return &shared{t: t, owners: make(map[int32]string), moves: make(map[int32]int), moved: make(chan struct{}, 100), cut: make(map[string]bool)}
}

func (s *shared) change(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// has returns the lanes of a member.
func (s *shared) has(name string) []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int32
	for lane, owner := range s.owners {
		if owner == name {
			out = append(out, lane)
		}
	}
	slices.Sort(out)
	return out
}

// until waits for a state of the owners.
func (s *shared) until(what string, holds func() bool) {
	s.t.Helper()
	late := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-s.moved:
		case <-late:
			s.t.Fatalf("%s: not within 30 s; owners %v", what, s.owners)
		}
	}
}

// join adds a member.
func (s *shared) join(cfg GroupConfig, name string) *Group {
	s.t.Helper()
	cfg.Self = Member{Instance: name, Config: "c-" + name}
	cfg.Assigned = func(lanes []int32) {
		s.change(func() {
			for _, lane := range lanes {
				if owner, taken := s.owners[lane]; taken && !s.cut[owner] {
					s.t.Errorf("lane %d goes to %s while %s has it", lane, name, owner)
				}
				s.owners[lane] = name
				s.moves[lane]++
			}
		})
	}
	release := func(lanes []int32) {
		s.change(func() {
			for _, lane := range lanes {
				if s.owners[lane] == name {
					delete(s.owners, lane)
				}
			}
		})
	}
	cfg.Revoked, cfg.Lost = release, release
	if cfg.Failed == nil {
		cfg.Failed = func(err error) {
			if !Retryable(err) {
				s.t.Errorf("%s: %v", name, err)
			}
		}
	}
	g, err := Join(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

func groupConfig(t *testing.T, brokers []string) GroupConfig {
	cfg := config(t, brokers)
	mustOpen(t, cfg)
	return GroupConfig{Client: cfg.Client, Group: unique(t, "group"), Topic: cfg.Topic, LookEvery: 200 * time.Millisecond}
}

// Members come and go: every lane has one owner, and only what has to moves.
func testGroupShares(t *testing.T, brokers []string) {
	cfg, s := groupConfig(t, brokers), newShared(t)
	a := s.join(cfg, "a")
	s.until("one member has everything", func() bool { return len(s.has("a")) == 4 })
	b := s.join(cfg, "b")
	s.until("two members share", func() bool { return len(s.has("a")) == 2 && len(s.has("b")) == 2 })
	s.mu.Lock()
	for _, lane := range []int32{0, 1, 2, 3} {
		if want := map[bool]int{true: 1, false: 2}[s.owners[lane] == "a"]; s.moves[lane] != want {
			t.Errorf("lane %d had %d owners until now, want %d: only what b got may move", lane, s.moves[lane], want)
		}
	}
	s.mu.Unlock()
	kept := s.has("b")
	if err := a.Leave(testCtx(t)); err != nil {
		t.Fatal(err)
	}
	s.until("the one that stays has everything", func() bool { return len(s.has("b")) == 4 })
	for _, lane := range kept {
		if s.moves[lane] != 2 {
			t.Errorf("lane %d of b moved when a left", lane)
		}
	}
	if err := b.Leave(testCtx(t)); err != nil {
		t.Fatal(err)
	}
	if left := append(s.has("a"), s.has("b")...); len(left) != 0 {
		t.Errorf("lanes %v were not given back", left)
	}
}

// A member is cut off: its lanes go to the other when its session is over, and it
// learns of the loss when it is back, and takes part again.
func testGroupCutOff(t *testing.T, brokers []string) {
	cfg, s := groupConfig(t, brokers), newShared(t)
	cable := &cable{}
	apart := cfg
	apart.Client = append(slices.Clone(cfg.Client), kgo.Dialer(cable.dial))
	a := s.join(apart, "a")
	s.until("a has everything", func() bool { return len(s.has("a")) == 4 })
	b := s.join(cfg, "b")
	s.until("they share", func() bool { return len(s.has("b")) == 2 })
	s.change(func() { s.cut["a"] = true })
	cable.cut()
	s.until("b has everything", func() bool { return len(s.has("b")) == 4 })
	cable.mend()
	s.change(func() { s.cut["a"] = false })
	s.until("they share again", func() bool { return len(s.has("a")) == 2 && len(s.has("b")) == 2 })
	for _, g := range []*Group{a, b} {
		if err := g.Leave(testCtx(t)); err != nil {
			t.Error(err)
		}
	}
}

// cable is a connection to the brokers that can be cut: what is written goes
// nowhere, and new connections are refused.
type cable struct{ isCut atomic.Bool }

func (c *cable) cut()  { c.isCut.Store(true) }
func (c *cable) mend() { c.isCut.Store(false) }

func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if c.isCut.Load() {
		return nil, errCable
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return &end{Conn: conn, cable: c}, err
}

var errCable = &net.OpError{Op: "dial", Err: errors.New("the cable is cut")}

type end struct {
	net.Conn
	cable *cable
}

func (e *end) Write(b []byte) (int, error) {
	if e.cable.isCut.Load() {
		return 0, errCable
	}
	return e.Conn.Write(b)
}

// Members tell each other who they are and by which configuration they go.
func testGroupMembers(t *testing.T, brokers []string) {
	cfg, s := groupConfig(t, brokers), newShared(t)
	looked := make(chan []Member, 1)
	seeing := cfg
	seeing.Looked = func(members []Member, err error) {
		if err != nil {
			t.Error(err)
		}
		if len(members) == 2 {
			select {
			case looked <- members:
			default:
			}
		}
	}
	a, b := s.join(seeing, "a"), s.join(cfg, "b")
	s.until("they share", func() bool { return len(s.has("a")) == 2 && len(s.has("b")) == 2 })
	check := func(members []Member) {
		t.Helper()
		slices.SortFunc(members, func(x, y Member) int { return strings.Compare(x.Instance, y.Instance) })
		if len(members) != 2 {
			t.Fatalf("%+v, want 2 members", members)
		}
		for i, name := range []string{"a", "b"} {
			if m := members[i]; m.Instance != name || m.Config != "c-"+name || m.ID == "" || !slices.Equal(m.Lanes, s.has(name)) {
				t.Errorf("%+v, want %s with lanes %v", m, name, s.has(name))
			}
		}
	}
	members, err := Members(testCtx(t), cfg.Client, cfg.Group)
	if err != nil {
		t.Fatal(err)
	}
	check(members)
	select {
	case <-looked:
	case <-testCtx(t).Done():
		t.Error("the members were not looked at")
	}
	for _, g := range []*Group{a, b} {
		if err := g.Leave(testCtx(t)); err != nil {
			t.Error(err)
		}
	}
	members, err = Members(testCtx(t), cfg.Client, cfg.Group)
	if err != nil || len(members) != 0 {
		t.Errorf("after the last has left: %v, %v", members, err)
	}
	if members, err = Members(testCtx(t), cfg.Client, "never.seen"); err != nil || len(members) != 0 {
		t.Errorf("of a group that never was: %v, %v", members, err)
	}
}

// What keeps a member out is told with the ACL that is missing.
func TestGroupIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		code *kerr.Error
		want string
	}{
		"group": {kerr.GroupAuthorizationFailed, "not authorised for Read on consumer group"},
		"other": {kerr.InconsistentGroupProtocol, "consumer group \"g\": INCONSISTENT_GROUP_PROTOCOL"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t)
			cfg := groupConfig(t, c.ListenAddrs())
			cfg.Group = "g"
			c.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
				resp.ErrorCode = tt.code.Code
				return resp, nil, true
			})
			failed := make(chan error, 1)
			cfg.Failed = func(err error) {
				select {
				case failed <- err:
				default:
				}
			}
			g := newShared(t).join(cfg, "a")
			select {
			case err := <-failed:
				if !errors.Is(err, tt.code) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, want %q", err, tt.want)
				}
			case <-testCtx(t).Done():
				t.Error("nothing was told")
			}
			if err := g.Leave(testCtx(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// An introduction is read whatever stands before it, and nothing else is taken for
// one.
func TestIntroduction(t *testing.T) {
	self := Member{Instance: `pod-1/"7"`, Config: "0123"}
	for _, before := range []string{"", "bridge", "\x00\x00\x00\x01"} {
		var got Member
		got.introduce(self.append([]byte(before)))
		if got.Instance != self.Instance || got.Config != self.Config {
			t.Errorf("after %q: %+v, want %+v", before, got, self)
		}
	}
	for _, data := range []string{"", "bridge", "\x00\x01bridge", "\xff\xffbridge", "{}\x00\x02bridge", `{"v":2,"instance":"i"}` + "\x00\x16bridge", "nonsense\x00\x08bridge"} {
		got := Member{Instance: "client"}
		got.introduce([]byte(data))
		if got.Instance != "client" || got.Config != "" {
			t.Errorf("%q was taken for %+v", data, got)
		}
	}
}

func TestGroupConfig(t *testing.T) {
	f := func([]int32) {}
	for name, cfg := range map[string]GroupConfig{
		"Group":                   {Topic: "t", Assigned: f, Revoked: f, Lost: f},
		"Topic":                   {Group: "g", Assigned: f, Revoked: f, Lost: f},
		"Assigned, Revoked, Lost": {Group: "g", Topic: "t"},
		"Client":                  {Group: "g", Topic: "t", Assigned: f, Revoked: f, Lost: f, Client: []kgo.Opt{kgo.FetchMaxWait(-1)}},
	} {
		_, err := Join(cfg)
		if e, ok := errors.AsType[*ConfigError](err); !ok || e.Field != name {
			t.Errorf("%v, want a *ConfigError about %s", err, name)
		}
	}
}
