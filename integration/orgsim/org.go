package orgsim

import (
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Org is a simulated Salesforce org. All methods are safe for concurrent use.
type Org struct {
	cfg   Config
	users []*user
	apps  map[string]*app

	mu           sync.Mutex // the record store and everything that gives out ids
	objects      map[string]*object
	order        []*object // as configured
	schemas      map[string]*schema
	ids          *idMaker
	gapRand      *rand.Rand
	keyRand      *rand.Rand
	replay       int64
	firstReplay  int64 // the bus began behind it
	commitNumber int64
	lastCommit   int64
	scratch      []byte // one event in the making
	bodies       []byte // the bodies of one transaction
	load         *loads
	delayRand    *rand.Rand
	delays       map[string]Delay // by object; "": all others
	due          map[string]int64 // by object: when its newest event can be delivered, epoch ms
	topics       []*topic
	topicIDs     *idMaker // of PushTopics and streaming channels: those of records do not depend on them
	generic      []*streamingChannel
	cursors      []*cursor // by age
	jobs         jobs
	born         time.Time
	channelTypes int // types of event that belong to one channel, behind those of the objects

	bus      *bus
	named    sync.RWMutex // channels, which PushTopics and streaming channels add to
	channels map[string]*channel
	hub      hub
	auth     auth
	faults   faults
	stats    counters
	shared   atomic.Int64 // transactions to come whose events share a replay id
	outage   atomic.Int64 // until then there is none to answer; clock, nanoseconds
	instance atomic.Pointer[instance]
	who      atomic.Pointer[identity]
	seen     atomic.Pointer[string] // the address of the last request

	deliveries, restCalls, cometdCalls, tokenCalls, bulkJobs, bulkBytes *rolling

	offset  atomic.Int64 // clock, nanoseconds
	buffers sync.Pool
	zippers sync.Pool // a gzip.Writer has a megabyte of tables to make and to clear
	mux     http.Handler
}

type user struct {
	User
	id     string
	denied map[string]bool // by object name
	zone   *time.Location
}

type app struct {
	App
	approved map[string]bool
}

// channel is one name that may be subscribed to.
type channel struct {
	name    string
	object  string // single-entity channels: the object
	members []bool // by eventType.index
	topic   *topic // of /topic/ channels
}

// Streams of the seed, one for each purpose, so that one does not disturb another.
const (
	seedIDs = iota + 1
	seedGaps
	seedKeys
	seedSessions
	seedTokens
	seedLoad
	seedFaults
	seedDelays
	seedTopics
	seedJobs
)

// New makes an org. It starts nothing.
func New(cfg Config) (*Org, error) {
	cfg.fill()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	stream := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(cfg.Seed, n)) } //nolint:gosec // reproducible on purpose
	o := &Org{
		cfg: cfg, objects: map[string]*object{}, schemas: map[string]*schema{}, channels: map[string]*channel{}, apps: map[string]*app{},
		ids: newIDMaker(stream(seedIDs)), gapRand: stream(seedGaps), keyRand: stream(seedKeys), delayRand: stream(seedDelays), delays: cfg.delays(),
		deliveries: newRolling(24*time.Hour, 96), restCalls: newRolling(24*time.Hour, 96),
		bulkJobs: newRolling(24*time.Hour, 96), bulkBytes: newRolling(24*time.Hour, 96),
		cometdCalls: newRolling(time.Minute, 60), tokenCalls: newRolling(time.Hour, 60),
	}
	o.who.Store(&identity{id: o.ids.id18("00D"), instance: firstInstance})
	o.topicIDs = &idMaker{instance: o.ids.instance, next: map[string]int64{}, rnd: stream(seedTopics)}
	o.jobs.rnd = stream(seedJobs)
	o.born = o.now()
	o.hub = hub{sessions: map[string]*session{}, rnd: stream(seedSessions)}
	o.auth = auth{tokens: map[string]*token{}, used: map[string]time.Time{}, rnd: stream(seedTokens)}
	o.zippers.New = func() any {
		gz, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // a level that exists
		return gz
	}
	o.buffers.New = func() any { b := make([]byte, 0, writeBuffer); return &b }
	o.replay, o.commitNumber = cfg.FirstReplayID, cfg.FirstCommit
	if o.replay == 0 {
		o.replay = 10_000_000 + o.gapRand.Int64N(80_000_000)
	}
	o.firstReplay = o.replay
	if o.commitNumber == 0 {
		o.commitNumber = 1<<53 + 1 + 2*o.gapRand.Int64N(1_000_000)
	}
	o.bus = &bus{floor: o.replay, last: o.replay, reached: o.replay + 1, forget: cfg.DropTrimmed, horizon: cfg.Retention.Milliseconds(), byID: cfg.ExpireByID}
	if err := o.addPeople(); err != nil {
		return nil, err
	}
	o.addObjects()
	if err := o.checkFields(); err != nil {
		return nil, err
	}
	o.addChannels()
	if err := o.addStreaming(); err != nil {
		return nil, err
	}
	o.mux = o.routes()
	if cfg.Faults != nil {
		if err := o.RunFaults(*cfg.Faults); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (o *Org) addPeople() error {
	for _, u := range o.cfg.Users {
		nu := &user{User: u, id: o.ids.id18("005"), denied: map[string]bool{}}
		var err error
		if nu.zone, err = location(u.TimeZone); err != nil {
			return &ConfigError{"users." + u.Username, err.Error()}
		}
		for _, d := range u.Denied {
			nu.denied[d] = true
		}
		o.users = append(o.users, nu)
	}
	for _, a := range o.cfg.Apps {
		na := &app{App: a, approved: map[string]bool{}}
		for _, u := range a.Approved {
			na.approved[u] = true
		}
		o.apps[a.ClientID] = na
	}
	return nil
}

func (o *Org) addObjects() {
	custom := 0
	for i, def := range o.cfg.Objects {
		prefix := def.KeyPrefix
		if prefix == "" {
			letter := "a"
			if def.IsEvent() {
				letter = "e"
			}
			prefix = fmt.Sprintf("%s%c%c", letter, base62[custom/62%62], base62[custom%62])
			custom++
		}
		ob := newObject(def, prefix, o.fieldID)
		ob.typ = &eventType{index: i, name: def.EventName(), object: def.Name}
		o.objects[def.Name] = ob
		o.order = append(o.order, ob)
		o.define(ob)
	}
}

func (o *Org) fieldID() string { return o.ids.id15("00N") }

// define makes the object's present fields its current schema.
func (o *Org) define(ob *object) {
	ob.schema = newSchema(ob)
	o.schemas[ob.schema.id] = ob.schema
}

const allChanges = "/data/ChangeEvents"

func (o *Org) addChannels() {
	add := func(name, object string, members ...*object) {
		ch := &channel{name: name, object: object, members: make([]bool, len(o.order))}
		for _, ob := range members {
			ch.members[ob.typ.index] = true
			ob.typ.channels = append(ob.typ.channels, name)
		}
		o.channels[name] = ch
	}
	var captured []*object
	for _, ob := range o.order {
		if ob.def.NoCapture {
			continue
		}
		add(ob.def.Channel(), ob.def.Name, ob)
		if !ob.def.IsEvent() {
			captured = append(captured, ob)
		}
	}
	add(allChanges, "", captured...)
	for _, c := range o.cfg.Channels {
		var members []*object
		for _, name := range c.Members {
			for _, ob := range o.order {
				if ob.def.EventName() == name {
					members = append(members, ob)
				}
			}
		}
		add(c.Name, "", members...)
	}
}

// ID is the org's 18-character id.
func (o *Org) ID() string { return o.who.Load().id }

// Channels lists every channel that may be subscribed to, sorted.
func (o *Org) Channels() []string {
	o.named.RLock()
	defer o.named.RUnlock()
	return sortedKeys(o.channels)
}

// addStreaming creates the PushTopics and generic channels that the org begins with.
func (o *Org) addStreaming() error {
	for _, t := range o.cfg.PushTopics {
		if _, err := o.CreatePushTopic(t); err != nil {
			return &ConfigError{"pushTopics." + t.Name, err.Error()}
		}
	}
	for _, name := range o.cfg.StreamingChannels {
		if _, err := o.CreateStreamingChannel(name); err != nil {
			return &ConfigError{"streamingChannels." + name, err.Error()}
		}
	}
	return nil
}

func (o *Org) channelNamed(name string) *channel {
	o.named.RLock()
	defer o.named.RUnlock()
	return o.channels[name]
}

func (o *Org) addChannel(ch *channel) {
	o.named.Lock()
	defer o.named.Unlock()
	o.channels[ch.name] = ch
}

// now is the org's time.
func (o *Org) now() time.Time { return o.cfg.Now().Add(time.Duration(o.offset.Load())) }

func (o *Org) userNamed(name string) (*user, error) {
	if name == "" {
		return o.users[0], nil
	}
	for _, u := range o.users {
		if u.Username == name {
			return u, nil
		}
	}
	return nil, &RequestError{Status: 404, Code: "NOT_FOUND", Message: "no user " + quoted(name) + " in this org"}
}

// AddField adds a field to an object or platform event. Its event gets a new
// schema; events published before keep the old one, which keeps resolving.
func (o *Org) AddField(object string, f Field) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	ob := o.objects[object]
	if ob == nil {
		return errNoObject(object)
	}
	if err := checkField(ob.def, f); err != nil {
		return err
	}
	if _, ok := ob.columns[f.Name]; ok || ob.derivedNamed(f.Name) != nil || !strings.HasSuffix(f.Name, "__c") {
		return &RequestError{Status: 400, Code: "DUPLICATE_DEVELOPER_NAME", Fields: []string{f.Name},
			Message: "a new field needs a name of its own that ends in __c"}
	}
	ob.place(newField(f, false, o.fieldID()))
	if ob.derivedNamed(f.Name) == nil {
		o.define(ob)
	}
	return nil
}

// SchemaID is the id of the schema that the object's next event will have.
func (o *Org) SchemaID(object string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ob := o.objects[object]
	if ob == nil {
		return "", errNoObject(object)
	}
	return ob.schema.id, nil
}

// Schema returns the COMPACT Avro text of a schema id, old or current.
func (o *Org) Schema(id string) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.schemas[id]
	if s == nil {
		return nil, false
	}
	return s.compact, true
}

// AdvanceClock moves the org's clock forward: tokens and sessions age, and
// retention ends, as if that time had passed. It does not shorten a held connect.
func (o *Org) AdvanceClock(d time.Duration) {
	o.offset.Add(int64(d))
	o.bus.expire(o.now().UnixMilli())
	o.bus.wake()
}

// Trim ends the retention of the oldest events so that at most keep are left,
// and returns how many that were. Positions within them become invalid.
func (o *Org) Trim(keep int) int {
	_, end := o.bus.bounds()
	return o.bus.trim(end - max(keep, 0))
}

// Retained says how many events can still be replayed.
func (o *Org) Retained() int {
	o.bus.expire(o.now().UnixMilli())
	first, end := o.bus.bounds()
	return end - first
}

// Close stops what StartLoad started and waits for it; it returns what StopLoad does.
// Requests under way are the HTTP server's to end.
func (o *Org) Close() error { return o.StopLoad() }
