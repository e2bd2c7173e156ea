package integration

import (
	wire "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cut is what a proxy does to what two parties say.
type cut int

const (
	whole cut = iota
	// reset closes all connections with an RST, and each new one.
	reset
	// silent holds back all bytes. They come late when the cut is over, as those of
	// a network that is back do.
	silent
	// unheard holds back what goes to the server, mute what comes from it.
	unheard
	mute
)

func (c cut) String() string { return [...]string{"whole", "reset", "silent", "unheard", "mute"}[c] }

// holds says whether a direction is held back.
func (c cut) holds(toServer bool) bool {
	return c == silent || toServer && c == unheard || !toServer && c == mute
}

// proxy stands between one party and a server.
type proxy struct {
	addr, target string
	relay        func(p *proxy, l *link, toServer bool) error
	listener     net.Listener

	mu      sync.Mutex
	now     cut
	changed chan struct{} // closed when now changes
	links   map[*link]bool
	over    bool
	pumps   sync.WaitGroup
}

// link is one connection through a proxy.
type link struct {
	client, server net.Conn
	done           chan struct{}
	once           sync.Once

	mu    sync.Mutex
	asked map[int32]question // of Kafka, by correlation id
}

// question is a request whose answer names brokers.
type question struct{ key, version int16 }

// newProxy passes on bytes. It ends with the test.
func newProxy(tb testing.TB, target string) *proxy {
	tb.Helper()
	return listen(tb, target, (*proxy).bytes)
}

// newKafkaProxy makes a broker's clients come back to it: where an answer of the
// broker names an address, it names that of the proxy.
func newKafkaProxy(tb testing.TB, broker string) *proxy {
	tb.Helper()
	return listen(tb, broker, (*proxy).frames)
}

func listen(tb testing.TB, target string, relay func(*proxy, *link, bool) error) *proxy {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{
		addr: l.Addr().String(), target: target, relay: relay, listener: l,
		changed: make(chan struct{}), links: make(map[*link]bool),
	}
	p.pumps.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.set(reset)
	p.pumps.Wait()
}

// set begins or ends a cut.
func (p *proxy) set(c cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = c
	close(p.changed)
	p.changed = make(chan struct{})
	if c == reset {
		for l := range p.links {
			l.reset()
		}
	}
}

func (p *proxy) state() (cut, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now, p.changed
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	l := &link{client: client, done: make(chan struct{}), asked: make(map[int32]question)}
	if now, _ := p.state(); now == reset {
		l.reset()
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		l.reset()
		return
	}
	l.server = server
	p.mu.Lock()
	if p.over || p.now == reset {
		l.reset()
	}
	p.links[l] = true
	p.mu.Unlock()
	var both sync.WaitGroup
	for _, toServer := range []bool{true, false} {
		both.Go(func() {
			_ = p.relay(p, l, toServer)
			l.end()
		})
	}
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// end closes both sides in the usual way.
func (l *link) end() {
	l.once.Do(func() {
		close(l.done)
		_ = l.client.Close()
		if l.server != nil {
			_ = l.server.Close()
		}
	})
}

// reset closes both sides with an RST.
func (l *link) reset() {
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	l.end()
}

func (l *link) ends(toServer bool) (from, to net.Conn) {
	if toServer {
		return l.client, l.server
	}
	return l.server, l.client
}

var errLinkClosed = errors.New("the connection is closed")

// pass waits as long as the direction is held back.
func (p *proxy) pass(l *link, toServer bool) error {
	for {
		now, changed := p.state()
		if !now.holds(toServer) {
			return nil
		}
		select {
		case <-changed:
		case <-l.done:
			return errLinkClosed
		}
	}
}

func (p *proxy) bytes(l *link, toServer bool) error {
	from, to := l.ends(toServer)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if err := p.pass(l, toServer); err != nil {
				return err
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// frames passes on whole requests and answers of Kafka's protocol.
func (p *proxy) frames(l *link, toServer bool) error {
	from, to := l.ends(toServer)
	for {
		var head [4]byte
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return err
		}
		frame := make([]byte, wire.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(from, frame); err != nil {
			return err
		}
		if err := p.pass(l, toServer); err != nil {
			return err
		}
		if toServer {
			l.note(frame)
		} else {
			renamed, err := p.rename(l, frame)
			if err != nil {
				return err
			}
			frame = renamed
		}
		if _, err := to.Write(append(wire.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			return err
		}
	}
}

// note remembers a request whose answer names brokers.
func (l *link) note(request []byte) {
	r := kbin.Reader{Src: request}
	q, id := question{r.Int16(), r.Int16()}, r.Int32()
	if q.key != int16(kmsg.Metadata) && q.key != int16(kmsg.FindCoordinator) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[id] = q
}

// rename puts the proxy's address in the place of the broker's. There is one
// broker.
func (p *proxy) rename(l *link, answer []byte) ([]byte, error) {
	r := kbin.Reader{Src: answer}
	id := r.Int32()
	l.mu.Lock()
	q, ok := l.asked[id]
	delete(l.asked, id)
	l.mu.Unlock()
	if !ok {
		return answer, nil
	}
	resp := kmsg.ResponseForKey(q.key)
	resp.SetVersion(q.version)
	head := 4
	if resp.IsFlexible() {
		head++ // no tagged fields
	}
	if err := resp.ReadFrom(answer[head:]); err != nil {
		return nil, fmt.Errorf("an answer to %v: %w", q, err)
	}
	host, text, err := net.SplitHostPort(p.addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	port := int32(number)
	switch resp := resp.(type) {
	case *kmsg.MetadataResponse:
		for i := range resp.Brokers {
			resp.Brokers[i].Host, resp.Brokers[i].Port = host, port
		}
	case *kmsg.FindCoordinatorResponse:
		if resp.Host != "" {
			resp.Host, resp.Port = host, port
		}
		for i, found := range resp.Coordinators {
			if found.Host != "" {
				resp.Coordinators[i].Host, resp.Coordinators[i].Port = host, port
			}
		}
	}
	return resp.AppendTo(append([]byte{}, answer[:head]...)), nil
}
