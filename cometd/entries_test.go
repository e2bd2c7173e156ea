package cometd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// entries are all that the documents say on a topic, entry by entry, and where it
// is tested. An entry without a "by" has rows of its name in the machine's table;
// "also" names further tests, "by" the tests of what the machine does not decide,
// and "left" why there is no test. The topics are those of the Bayeux 1.0
// specification (advice, handshake, connect, subscribe, unsubscribe, disconnect),
// the CometD reference (cookies, http, state, freedom, library) and Salesforce's
// Streaming API guide (error, disguise, decision, token, timing, doubt).
type entry struct{ name, by, also, left string }

func entries() []entry {
	return slices.Concat(bayeuxEntries(), outcomeEntries(), salesforceEntries(), doubtEntries())
}

func bayeuxEntries() []entry {
	return []entry{
		{name: "advice/reconnect retry"},
		{name: "advice/reconnect handshake"},
		{name: "advice/reconnect none"},
		{name: "advice/reconnect of an unknown word"},
		{name: "advice/interval", also: "TestCeilings/advice "},
		{name: "advice/timeout", also: "TestHold"},
		{name: "advice/multiple-clients"},
		{name: "advice/hosts", also: "TestAuthorizationAsGiven"},
		{name: "advice/maxInterval"},
		{name: "advice/of a transport", also: "TestHold/long-polling"},
		{name: "advice/new replaces old"},
		{name: "advice/absent means the old stays"},
		{name: "advice/absent on a failure means back off"},
		{name: "advice/the client's own", also: "TestRequestsOfASession"},

		{name: "handshake/alone in its request", also: "TestRequestsOfASession"},
		{name: "handshake/credentials first"},
		{name: "handshake/success"},
		{name: "handshake/failure"},
		{name: "handshake/failure with handshake"},
		{name: "handshake/failure with none"},
		{name: "handshake/no common transport"},
		{name: "handshake/events with it", also: "TestEventsWithTheHandshake"},

		{name: "connect/one at a time", also: "TestRequestsOfASession"},
		{name: "connect/the first is answered at once"},
		{name: "connect/many events in one reply", also: "TestReplyOfManyMegabytes"},
		{name: "connect/reply anywhere in the array", also: "TestServerFreedoms/reply first"},
		{name: "connect/held only when alone"},
		{name: "connect/the older of two ends with an error", also: "TestOlderConnectEnds"},
		{name: "connect/matched by id"},
		{name: "connect/empty body is a failure", also: "TestHTTPErrors/empty"},
		{name: "connect/too late", also: "TestSessionLapse"},
		{name: "connect/not sent", also: "TestRefusedConnectionKeepsTheSession"},
		{name: "connect/given up by the caller", also: "TestCancelledNextLosesNothing, TestSessionOfACallerThatWentAway"},

		{name: "subscribe/echo"},
		{name: "subscribe/one channel a message", also: "TestRequestsOfASession, TestFewerSubscriptionsARequest"},
		{name: "subscribe/events with the reply", also: "TestEventsWithEveryReply"},
		{name: "subscribe/bound to the session", also: "TestFiveHundredChannels"},
		{name: "subscribe/refused again and again", also: "TestCeilings/refuses"},
		{name: "unsubscribe/events with the reply", also: "TestEventsWithEveryReply"},
		{name: "publish/request", left: "Salesforce does not implement it, and this client neither"},
		{name: "disconnect/ours", also: "TestFirstEvents"},
		{name: "disconnect/releases a held connect"},
		{name: "disconnect/sent by the server", also: "TestServerSentDisconnect"},
		{name: "disconnect/of a session given up", also: "TestSessionGivenUpIsFreed, TestFarewellIsBounded"},

		{name: "cookies/set with the handshake", by: "TestCookiesOfAnyReply, TestCookiesEndWithTheSession"},
		{name: "cookies/wrong or missing"},
		{name: "cookies/several clients with one"},
		{name: "cookies/one jar a session, from good replies", by: "TestCookiesOfAnyReply"},
	}
}

func outcomeEntries() []entry {
	return []entry{
		{name: "http/200 with an array"},
		{name: "http/200 empty, 204", also: "TestHTTPErrors/no content"},
		{name: "http/400"},
		{name: "http/401", also: "TestHTTPUnauthorized"},
		{name: "http/403", also: "TestHTTPUnauthorized, TestBayeuxFailureUnderHTTPStatus"},
		{name: "http/404", also: "TestHTTPErrors/not found"},
		{name: "http/405"},
		{name: "http/408"},
		{name: "http/413", also: "TestFewerSubscriptionsARequest"},
		{name: "http/420"},
		{name: "http/429", also: "TestHTTPErrors/too many requests"},
		{name: "http/500"},
		{name: "http/502"},
		{name: "http/503", also: "TestHTTPErrors/maintenance page"},
		{name: "http/504"},
		{name: "http/network error", also: "TestCutAtEveryByte, TestDroppedReplyIsAskedForAgain"},
		{name: "http/3xx", also: "TestHTTPErrors/redirect, TestAuthorizationAsGiven"},
		{name: "http/retry-after", also: "TestRetryAfter, TestHTTPErrors/asks to wait"},
		{name: "http/content type", by: "TestHTTPErrors/login page, TestContentTypes"},

		{name: "state/disconnected to handshaking"},
		{name: "state/handshaking to handshaken"},
		{name: "state/handshaking to rehandshaking"},
		{name: "state/handshaking to terminating"},
		{name: "state/handshaken to connecting"},
		{name: "state/connecting to connected"},
		{name: "state/connected to connected"},
		{name: "state/connected to unconnected"},
		{name: "state/connected to rehandshaking"},
		{name: "state/unconnected to connected"},
		{name: "state/unconnected to rehandshaking"},
		{name: "state/unconnected to terminating"},
		{name: "state/unconnected for too long"},
		{name: "state/any to disconnecting"},
		{name: "state/backoff grows", also: "TestUnknownClientForEver"},
		{name: "state/backoff is reset by a session that lasts", also: "TestSuccessForgivesFailures"},
		{name: "state/backoff and an advised handshake"},
		{name: "state/advice of a failed reply wins over the old"},
		{name: "state/request timeout", by: "TestHold, TestSilentServerIsNoticed, TestStalledBodyIsNoticed"},
		{name: "state/response buffer", by: "TestReplyOfManyMegabytes, TestMessageTooLarge"},
		{name: "state/suffix of the address", by: "TestAddressAsGiven"},

		{name: "freedom/01 one object and no array", also: "TestServerFreedoms/bare object"},
		{name: "freedom/02 events around the connect reply", also: "TestServerFreedoms/reply first"},
		{name: "freedom/03 events with the subscribe reply", also: "TestEventsWithEveryReply"},
		{name: "freedom/03 events with the unsubscribe reply", also: "TestEventsWithEveryReply"},
		{name: "freedom/03 events with the disconnect reply", also: "TestFarewellIsBounded/brings events"},
		{name: "freedom/04 events with the handshake reply", also: "TestEventsWithTheHandshake"},
		{name: "freedom/05 subscribe replies in another order"},
		{name: "freedom/06 reply without id", also: "TestServerFreedoms/no ids"},
		{name: "freedom/06 reply with a number for an id", also: "TestServerFreedoms/numeric ids"},
		{name: "freedom/07 reply without client id"},
		{name: "freedom/08 advice absent"},
		{name: "freedom/08 advice partial"},
		{name: "freedom/08 advice of a transport"},
		{name: "freedom/08 advice with unknown members"},
		{name: "freedom/08 advice with interval null"},
		{name: "freedom/09 successful missing"},
		{name: "freedom/10 timestamps"},
		{name: "freedom/11 ext with unknown members"},
		{name: "freedom/12 connect answered at once with nothing", also: "TestMachinePace, TestBusyLoopGuard"},
		{name: "freedom/13 HTML or nothing under 200", also: "TestHTTPErrors/login page"},
		{name: "freedom/14 connection closed in the body", also: "TestCutAtEveryByte"},
		{name: "freedom/15 unknown session on any message", also: "TestUnknownClientOnEveryMessage"},
		{name: "freedom/16 cookies of any reply", by: "TestCookiesOfAnyReply"},
		{name: "freedom/17 gzip", by: "TestSockets"},
		{name: "freedom/18 the same event twice", also: "TestSameEventTwice"},
		{name: "freedom/19 more than 10 MB", by: "TestReplyOfManyMegabytes, TestLargeMessageIsScannedOnce"},
		{name: "freedom/20 hosts", also: "TestAuthorizationAsGiven"},
	}
}

func salesforceEntries() []entry {
	var list []entry
	for _, r := range refusals() {
		if !strings.Contains(r.name, ": ") { // another text of the same
			list = append(list, entry{name: r.name, also: "TestClassify"})
		}
	}
	return append(list,
		entry{name: "error/reference unsubscribe failed"},
		entry{name: "disguise/reason before error: 401 behind 403 at a handshake", also: "TestErrorTexts"},
		entry{name: "error/reference publish denied, channel create denied", left: "answers to a publish, which is never sent"},
		entry{name: "disguise/reason before error", also: "TestClassify"},
		entry{name: "disguise/sample: token refused at a handshake"},
		entry{name: "disguise/sample: token refused at a connect"},
		entry{name: "disguise/sample: unknown client without client id"},
		entry{name: "disguise/sample: busy behind 401 at a connect"},
		entry{name: "disguise/sample: no such channel"},
		entry{name: "disguise/sample: busy behind denied at a subscribe"},
		entry{name: "disguise/under HTTP 200 or not", also: "TestBayeuxFailureUnderHTTPStatus"},
		entry{name: "decision/503"},
		entry{name: "decision/401", also: "TestTokenRefused, TestTokenRefusedForEver"},
		entry{name: "decision/unknown client"},
		entry{name: "decision/limits", also: "TestLimitsWaitForMinutes"},
		entry{name: "decision/replay id invalid", also: "TestInvalidReplayIDLeavesOtherChannelsAlone"},
		entry{name: "decision/other refusal of a channel"},
		entry{name: "decision/advice handshake"},
		entry{name: "decision/advice retry"},
		entry{name: "decision/advice none without a cause"},
		entry{name: "decision/nothing known"},
		entry{name: "token/new of the same user"},
		entry{name: "token/of another user"},
		entry{name: "token/session locked to an address"},
		entry{name: "token/revoked", also: "TestTokenRefused"},
		entry{name: "token/instance refresh"},
		entry{name: "timing/connect held and answered empty", also: "TestHeldConnectDeliversAtOnce"},
		entry{name: "timing/40 s without a connect", also: "TestSessionLapse, TestBackpressure"},
		entry{name: "timing/connect every two minutes"},
		entry{name: "timing/read timeout", also: "TestHold, TestHeldBodyIsNotCut"},
		entry{name: "timing/token expires in a live session"},
		entry{name: "timing/login after hours", also: "TestSuccessForgivesFailures"},
		entry{name: "timing/unknown client at any time"},
		entry{name: "timing/affinity cookie lapses", also: "TestCookiesOfAnyReply"},
	)
}

func doubtEntries() []entry {
	const elsewhere = "does not concern this protocol"
	return []entry{
		{name: "doubt/01 changedFields", left: "the payload is not parsed here"},
		{name: "doubt/02 daily limit", also: "TestLimitsWaitForMinutes"},
		{name: "doubt/03 replay id", also: "TestInvalidReplayIDLeavesOtherChannelsAlone"},
		{name: "doubt/04 channel does not exist"},
		{name: "doubt/05 unknown session"},
		{name: "doubt/06 end of a held connect", also: "TestSilentServerIsNoticed, TestProxyThatCutsLongPolls"},
		{name: "doubt/07 life of an assertion", left: elsewhere},
		{name: "doubt/08 bulk results", left: elsewhere},
		{name: "doubt/09 call options", left: elsewhere},
		{name: "doubt/10 scheme of the authorization", by: "TestAuthorizationAsGiven"},
		{name: "doubt/11 lowest version"},
		{name: "doubt/12 payload.format", also: "TestRequestsOfASession"},
		{name: "doubt/13 formula fields", left: "the payload is not parsed here"},
		{name: "doubt/14 outer channel of custom channels", by: "TestOuterChannel, TestOuterChannelOfOneGivenUp"},
		{name: "doubt/15 EventUuid in change events", by: "TestDecodeAccepts/largest id, TestDecodeAccepts/escaped names"},
		{name: "doubt/16 error codes of the Pub/Sub API", left: elsewhere},
		{name: "doubt/17 replay ids as bytes", left: elsewhere},
		{name: "doubt/18 connect reply", also: "TestServerFreedoms/reply first"},
		{name: "doubt/19 after an invalid replay id", also: "TestInvalidReplayIDLeavesOtherChannelsAlone"},
		{name: "doubt/20 dates and times", left: "the payload is not parsed here"},
		{name: "doubt/21 subscribed twice", also: "TestSubscribeChecks"},
		{name: "doubt/22 limits of REST", left: elsewhere},
		{name: "doubt/23 kinds of token"},
		{name: "doubt/24 limits of editions", left: "not a behaviour: limits are errors, which are above"},

		{name: "library/1 a lost reply is lost data", also: "TestCutAtEveryByte, TestDroppedReplyIsAskedForAgain"},
		{name: "library/2 order breaks across two replies", also: "TestCutAtEveryByte"},
		{name: "library/3 unknown session without advice"},
		{name: "library/4 no client id but in the handshake"},
		{name: "library/5 advice with the handshake"},
		{name: "library/6 number for an id comes back as text"},
		{name: "library/7 case of the content type", by: "TestContentTypes"},
		{name: "library/8 throughput", by: "BenchmarkDecode"},
	}
}

// Every entry has a row or a test, and every row an entry.
func TestEntries(t *testing.T) {
	tests := testFunctions(t)
	table := rows()
	covered := map[string]bool{}
	count := map[string]int{}
	for _, e := range entries() {
		count["entries"]++
		switch n := 0; {
		case e.left != "":
			count["left out"]++
			t.Logf("left out: %s: %s", e.name, e.left)
		case e.by != "":
			count["tested elsewhere"]++
		default:
			count["with rows"]++
			for _, row := range table {
				if row.name == e.name || strings.HasPrefix(row.name, e.name+": ") {
					covered[row.name] = true
					n++
				}
			}
			if n == 0 {
				t.Errorf("%s: no row in the machine's table", e.name)
			}
		}
		for test := range strings.SplitSeq(e.by+", "+e.also, ", ") {
			if test == "" {
				continue
			}
			function, text, _ := strings.Cut(test, "/")
			if body, ok := tests[function]; !ok || !strings.Contains(body, text) {
				t.Errorf("%s: there is no test %s", e.name, test)
			}
		}
	}
	for _, row := range table {
		if !covered[row.name] {
			count["rows beyond the entries"]++
			t.Logf("beyond the entries: %s", row.name)
		}
	}
	count["rows"] = len(table)
	for _, what := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%d %s", count[what], what)
	}
}

// testFunctions gives, for each test of the package, the strings in its body and
// in those of the functions that it calls directly.
func testFunctions(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	texts, calls := map[string]string{}, map[string][]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil {
				continue
			}
			text := "\n"
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if s, err := strconv.Unquote(n.Value); err == nil {
						text += s + "\n"
					}
				case *ast.CallExpr:
					if called, ok := n.Fun.(*ast.Ident); ok {
						calls[f.Name.Name] = append(calls[f.Name.Name], called.Name)
					}
				}
				return true
			})
			texts[f.Name.Name] = text
		}
	}
	tests := map[string]string{}
	for name, text := range texts {
		for _, called := range calls[name] {
			text += texts[called]
		}
		tests[name] = text
	}
	return tests
}
