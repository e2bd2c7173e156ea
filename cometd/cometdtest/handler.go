package cometdtest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const browserCookie = "BAYEUX_BROWSER"

// ServeHTTP answers one Bayeux request. The path does not matter.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "Unknown Bayeux Transport", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusBadRequest)
		return
	}
	if len(body) > 32_768 {
		http.Error(w, "Maximum Request Size Exceeded", http.StatusRequestEntityTooLarge)
		return
	}
	messages, err := parseMessages(body)
	if err != nil || len(messages) == 0 {
		http.Error(w, "malformed request", http.StatusBadRequest)
		return
	}
	fault := s.ask(&Request{
		Channel: messages[0].Channel, Messages: messages, Header: r.Header, Body: string(body),
	})
	if s.early(w, r, fault, messages) {
		return
	}
	var reply string
	if fault.Error != "" {
		reply = s.failures(messages, fault)
	} else {
		var status int
		reply, status = s.process(w, r, messages)
		if status != http.StatusOK {
			http.Error(w, http.StatusText(status), status)
			return
		}
	}
	send(w, r, fault, reply)
}

func (s *Server) ask(r *Request) *Fault {
	s.mu.Lock()
	s.requests++
	r.N = s.requests
	s.mu.Unlock()
	if s.Fault != nil {
		if f := s.Fault(r); f != nil {
			return f
		}
	}
	return &Fault{}
}

// early carries out what happens before the server sees the request, and says
// whether that was all.
func (s *Server) early(w http.ResponseWriter, r *http.Request, f *Fault, messages []Message) bool {
	if f.Refuse {
		refuse(w)
		return true
	}
	if !sleep(r.Context(), f.Delay) {
		return true
	}
	if f.Hang {
		<-r.Context().Done()
		return true
	}
	if f.Forget {
		s.mu.Lock()
		if ss := s.sessions[messages[0].ClientID]; ss != nil {
			s.end(ss)
		}
		s.mu.Unlock()
	}
	if f.Status == 0 && f.Body == "" && !f.Empty {
		return false
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	contentType := f.ContentType
	if contentType == "" {
		contentType = "text/html"
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(max(f.Status, http.StatusOK))
	_, _ = io.WriteString(w, f.Body) // the client may be gone
	return true
}

func (s *Server) failures(messages []Message, f *Fault) string {
	var replies []string
	for _, m := range messages {
		o := s.object(m)
		o.raw("successful", "false")
		o.text("error", f.Error)
		if f.Advice != "" {
			o.raw("advice", f.Advice)
		}
		if f.FailureReason != "" {
			o.raw("ext", `{"sfdc":{"failureReason":`+quote(f.FailureReason)+`}}`)
		}
		replies = append(replies, o.end())
	}
	return s.array(replies)
}

func (s *Server) array(messages []string) string {
	if s.BareObject && len(messages) == 1 {
		return messages[0]
	}
	return "[" + strings.Join(messages, ",\n") + "]"
}

// send writes a finished reply, as a fault wants it.
func send(w http.ResponseWriter, r *http.Request, f *Fault, reply string) {
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	if f.Rewrite != nil {
		reply = f.Rewrite(reply)
	}
	cut := f.Cut != nil && *f.Cut < len(reply)
	if cut {
		reply = reply[:*f.Cut]
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	for name, values := range f.Header {
		w.Header()[name] = append(w.Header()[name], values...)
	}
	w.WriteHeader(http.StatusOK)
	chunk := f.Chunk
	if chunk <= 0 {
		chunk = max(len(reply), 1)
	}
	for len(reply) > 0 {
		if !sleep(r.Context(), f.Pause) {
			return
		}
		n := min(chunk, len(reply))
		if _, err := io.WriteString(w, reply[:n]); err != nil {
			return // the client is gone
		}
		reply = reply[n:]
		if flusher, ok := w.(http.Flusher); ok && (f.Chunk > 0 || cut) {
			flusher.Flush()
		}
	}
	if cut {
		panic(http.ErrAbortHandler)
	}
}

// process lets the server answer.
func (s *Server) process(w http.ResponseWriter, r *http.Request, messages []Message) (reply string, status int) {
	authorized := s.Token == nil || s.Token(r.Header.Get("Authorization"))
	cookie := ""
	if c, err := r.Cookie(browserCookie); err == nil {
		cookie = c.Value
	}
	if messages[0].Channel == "/meta/handshake" {
		if len(messages) > 1 {
			return "bayeux protocol violation", http.StatusInternalServerError
		}
		secure := r.TLS != nil || r.URL.Scheme == "https"
		return s.array([]string{s.handshake(w, messages[0], authorized, secure)}), http.StatusOK
	}
	var replies, events []string
	for _, m := range messages {
		var answer string
		var more []event
		switch {
		case !authorized:
			answer = s.failed(m, "401::Authentication invalid", `{"reconnect":"none","interval":0}`)
		case m.Channel == "/meta/connect":
			answer, more, status = s.connect(r.Context(), m, cookie, len(messages) == 1)
			if status != 0 {
				return "", status
			}
		default:
			answer, more = s.message(m, cookie)
		}
		replies = append(replies, answer)
		for _, e := range more {
			events = append(events, e.text)
		}
	}
	if s.ReplyFirst {
		return s.array(append(replies, events...)), http.StatusOK
	}
	return s.array(append(events, replies...)), http.StatusOK
}

func (s *Server) handshake(w http.ResponseWriter, m Message, authorized, secure bool) string {
	o := s.object(m)
	if !authorized {
		o.raw("ext", `{"sfdc":{"failureReason":"401::Authentication invalid"},"replay":true,"payload.format":true}`)
		o.raw("advice", `{"reconnect":"none"}`)
		o.text("error", "403::Handshake denied")
		o.raw("successful", "false")
		return o.end()
	}
	s.mu.Lock()
	ss := s.open()
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: browserCookie, Value: ss.cookie, Path: "/", Secure: secure, HttpOnly: true})
	if !s.NoReplay {
		o.raw("ext", `{"replay":true,"payload.format":true}`)
	}
	o.raw("supportedConnectionTypes", `["long-polling"]`)
	o.text("minimumVersion", "1.0")
	o.text("version", "1.0")
	o.text("clientId", ss.id)
	o.raw("successful", "true")
	return o.end()
}

// session finds the session of a message, or the error text that says why not.
func (s *Server) session(m Message, cookie string) (*session, string) {
	ss := s.sessions[m.ClientID]
	switch {
	case ss == nil:
		return nil, unknownClient
	case s.lapsed(ss):
		s.end(ss)
		return nil, unknownClient
	case s.FreeCookies || cookie == ss.cookie:
		return ss, ""
	case cookie == "":
		return nil, "400::Client " + m.ClientID + " has established a session, but no " + browserCookie + " cookie present"
	}
	return nil, unknownClient
}

const (
	unknownClient   = "403::Unknown client"
	handshakeAdvice = `{"interval":0,"reconnect":"handshake"}`
)

// connect holds until there is something to say. A status other than zero ends
// the request without a reply: a newer connect has taken its place.
func (s *Server) connect(ctx context.Context, m Message, cookie string, alone bool) (string, []event, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss, problem := s.session(m, cookie)
	if ss == nil {
		return s.failed(m, problem, handshakeAdvice), nil, 0
	}
	close(ss.newest)
	mine := make(chan struct{})
	ss.newest = mine
	first := !ss.polled
	ss.polled = true
	hold := s.hold()
	if m.Advice != nil && m.Advice.Timeout != nil {
		hold = min(hold, time.Duration(*m.Advice.Timeout)*time.Millisecond)
	}
	if first || !alone {
		hold = 0
	}
	ss.held++
	status := s.wait(ctx, ss, mine, hold)
	ss.held--
	ss.seen = time.Now()
	if status != 0 {
		return "", nil, status
	}
	if s.sessions[ss.id] != ss {
		return s.failed(m, unknownClient, handshakeAdvice), nil, 0
	}
	o := s.object(m)
	o.text("clientId", ss.id)
	if first {
		o.raw("advice", `{"interval":0,"timeout":`+strconv.FormatInt(s.hold().Milliseconds(), 10)+`,"reconnect":"retry"}`)
	}
	o.raw("successful", "true")
	return o.end(), s.take(ss), 0
}

// wait gives the lock away until the session has something to say.
func (s *Server) wait(ctx context.Context, ss *session, mine chan struct{}, hold time.Duration) int {
	timer := time.NewTimer(hold)
	defer timer.Stop()
	for len(ss.queue) == 0 && hold > 0 {
		s.mu.Unlock()
		done, status := false, 0
		select {
		case <-ss.wake:
		case <-timer.C:
			done = true
		case <-ss.closed:
			done = true
		case <-mine:
			status = http.StatusInternalServerError
		case <-ctx.Done():
			status = http.StatusServiceUnavailable
		}
		s.mu.Lock()
		if done || status != 0 {
			return status
		}
	}
	return 0
}

// message answers everything but handshake and connect.
func (s *Server) message(m Message, cookie string) (string, []event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss, problem := s.session(m, cookie)
	if ss == nil {
		return s.failed(m, problem, handshakeAdvice), nil
	}
	o := s.object(m)
	o.text("clientId", ss.id)
	var events []event
	switch m.Channel {
	case "/meta/subscribe":
		if problem := s.subscribe(ss, m); problem != "" {
			return s.failed(m, problem, ""), nil
		}
		if s.EventsWithSubscribe {
			events = s.take(ss)
		}
	case "/meta/unsubscribe":
		delete(ss.subs, withoutFilter(m.Subscription))
	case "/meta/disconnect":
		s.end(ss)
	default:
		return s.failed(m, "404:"+m.Channel+":Unknown Channel", ""), nil
	}
	o.raw("successful", "true")
	return o.end(), events
}

// subscribe queues what the position asks for; ids of other channels in the
// extension do not matter.
func (s *Server) subscribe(ss *session, m Message) (problem string) {
	s.trim()
	channel := withoutFilter(m.Subscription)
	switch {
	case channel == "":
		return "400::Channel name not specified"
	case channel[0] != '/':
		return "400::Channel subscriptions must start with a leading '/'"
	}
	if s.Refuse != nil {
		if problem := s.Refuse(m.Subscription); problem != "" {
			return problem
		}
	}
	after, ok := m.Replay[channel]
	if !ok {
		after = -1
	}
	if after < -2 || after >= 0 && (after < s.trimmed || after > s.last) {
		return "400::The replayId {" + strconv.FormatInt(after, 10) + "} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events."
	}
	if ss.subs[channel] {
		return ""
	}
	ss.subs[channel] = true
	if after == -1 {
		return ""
	}
	for _, e := range s.log {
		if e.channel == channel && e.id > after {
			ss.queue = append(ss.queue, e)
		}
	}
	return ""
}

func (s *Server) failed(m Message, text, advice string) string {
	o := s.object(m)
	o.text("error", text)
	if advice != "" {
		o.raw("advice", advice)
	}
	o.raw("successful", "false")
	return o.end()
}

func withoutFilter(channel string) string {
	key, _, _ := strings.Cut(channel, "?")
	return key
}

// sleep waits and says whether the request is still wanted.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always has a JSON form
	return string(b)
}
