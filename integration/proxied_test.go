package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

// Each cut does what it says, and what was held back comes when it is over.
func TestProxyCuts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cut                 cut
		heard, answered, ok bool // by the server, by the client, and afterwards
	}{
		{whole, true, true, true}, {reset, false, false, false}, {silent, false, false, true},
		{unheard, false, false, true}, {mute, true, false, true},
	} {
		t.Run(c.cut.String(), func(t *testing.T) {
			heard := make(chan struct{}, 1)
			p := newProxy(t, echo(t, heard))
			conn, err := net.Dial("tcp", p.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := say(conn, time.Minute); err != nil {
				t.Fatal(err)
			}
			<-heard
			p.set(c.cut)
			const moment = 200 * time.Millisecond
			err = say(conn, moment)
			if answered := err == nil; answered != c.answered {
				t.Errorf("answered: %v", err)
			}
			select {
			case <-heard:
				if !c.heard {
					t.Error("the server heard it")
				}
			case <-time.After(moment):
				if c.heard {
					t.Error("the server did not hear it")
				}
			}
			p.set(whole)
			if c.answered {
				return
			}
			late := hear(conn, time.Minute)
			if (late == nil) != c.ok || errors.Is(late, os.ErrDeadlineExceeded) {
				t.Errorf("afterwards: %v", late)
			}
		})
	}
}

// echo is a server that says what it hears.
func echo(t *testing.T, heard chan<- struct{}) (addr string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		b := make([]byte, len(word))
		for {
			if _, err := io.ReadFull(conn, b); err != nil {
				return
			}
			heard <- struct{}{}
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	}()
	return l.Addr().String()
}

const word = "word"

func say(conn net.Conn, within time.Duration) error {
	if _, err := conn.Write([]byte(word)); err != nil {
		return err
	}
	return hear(conn, within)
}

func hear(conn net.Conn, within time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	b := make([]byte, len(word))
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	if string(b) != word {
		return fmt.Errorf("heard %q", b)
	}
	return nil
}

// A client that comes to Kafka through a proxy is told of no other way.
func TestKafkaProxyNamesItself(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Shared(t)
	p := newKafkaProxy(t, cluster.Brokers()[0])
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.addr), kgo.DefaultProduceTopic(cluster.Topic(t)), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	named := func(host string, port int32) string { return fmt.Sprintf("%s:%d", host, port) }
	brokers, err := adm.ListBrokers(t.Context())
	if err != nil || len(brokers) != 1 || named(brokers[0].Host, brokers[0].Port) != p.addr {
		t.Errorf("brokers %v, %v; want the proxy at %s", brokers, err, p.addr)
	}
	var found kadm.FindCoordinatorResponse
	for found.Host == "" && t.Context().Err() == nil { // the first one who asks makes the broker begin
		found = adm.FindGroupCoordinators(t.Context(), "group")["group"]
	}
	if at := named(found.Host, found.Port); at != p.addr {
		t.Errorf("the coordinator is at %s, %v; want the proxy at %s", at, found.Err, p.addr)
	}
	if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Error(err)
	}
}
