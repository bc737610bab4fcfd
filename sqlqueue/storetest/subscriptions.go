package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var subscriptionCases = []testCase{
	{
		"E9 subscriptions are written, listed by name, and deleted",
		"what an operator has said must stand there, the secret too",
		func(f *fixture) {
			c := f.open()
			before := c.now()
			hostile := `'; DROP TABLE "jobs" -- \ %_` + "`🎉"
			const address = "https://example.com/'\"`;DROP\\🎉?x=%20--"
			for _, s := range []operator.Subscription{
				{Name: "b", URL: "https://user:password@example.com/b?q='1'&%20", Queue: "mail", Secret: "whsec_🔑'\\\"\n"},
				{Name: "a", URL: "http://[::1]:8080", Queue: "sms"},
				{Name: "B", URL: address, Queue: hostile, Secret: hostile},
				{Name: hostile, URL: "https://example.com", Queue: "MAIL"},
			} {
				f.must(operator.New(c.Queue).Subscribe(f.Context(), s))
			}
			got := f.subscriptions(f.open())
			if names := namesOf(got); !slices.Equal(names, []string{hostile, "B", "a", "b"}) {
				f.Fatalf("got %q", names)
			}
			for _, s := range got {
				f.between("created_at", s.CreatedAt, before, c.now())
			}
			if s := got[3]; s.URL != "https://user:password@example.com/b?q='1'&%20" || s.Queue != "mail" || s.Secret != "whsec_🔑'\\\"\n" {
				f.Errorf("got %+v with the secret %q", s, s.Secret)
			}
			if s := got[1]; s.Queue != hostile || s.Secret != hostile || s.URL != address {
				f.Errorf("got %+v with the secret %q", s, s.Secret)
			}
			f.must(operator.New(c.Queue).Unsubscribe(f.Context(), "a"))
			for _, name := range []string{"a", "c", "%"} {
				if err := operator.New(c.Queue).Unsubscribe(f.Context(), name); !errors.Is(err, operator.ErrNoSubscription) {
					f.Errorf("unsubscribe %q: got %v, want ErrNoSubscription", name, err)
				}
			}
			f.must(operator.New(c.Queue).Unsubscribe(f.Context(), hostile))
			if names := namesOf(f.subscriptions(c)); !slices.Equal(names, []string{"B", "b"}) {
				f.Errorf("got %q", names)
			}
		},
	},
	{
		"E9 a subscription takes the place of the one of its name, and keeps its beginning",
		"a new address, or a new secret, is not another subscription",
		func(f *fixture) {
			c := f.open()
			s := operator.Subscription{Name: "mailer", URL: "https://example.com/old", Queue: "mail", Secret: "old"}
			f.must(operator.New(c.Queue).Subscribe(f.Context(), s))
			first := f.subscriptions(c)[0]
			f.eventually("the clock goes on", func() bool { return c.now().After(first.CreatedAt) })
			for range 2 { // MySQL counts no row that stays as it is
				s = operator.Subscription{Name: "mailer", URL: "https://example.com/new", Queue: "sms", CreatedAt: time.Now()}
				f.must(operator.New(c.Queue).Subscribe(f.Context(), s))
			}
			s.CreatedAt = first.CreatedAt
			if got := f.subscriptions(c); len(got) != 1 || !got[0].CreatedAt.Equal(s.CreatedAt) || got[0].URL != s.URL ||
				got[0].Queue != "sms" || got[0].Secret != "" {
				f.Errorf("got %+v, want %+v", got, s)
			}
		},
	},
	{
		"E9 a queue has one subscription",
		"a job is done once: two addresses would each get a part of the jobs",
		func(f *fixture) {
			c := f.open()
			mail := operator.Subscription{Name: "mailer", URL: "https://example.com/mail", Queue: "mail"}
			sms := operator.Subscription{Name: "texter", URL: "https://example.com/sms", Queue: "sms"}
			f.must(operator.New(c.Queue).Subscribe(f.Context(), mail))
			f.must(operator.New(c.Queue).Subscribe(f.Context(), sms))
			before := f.subscriptions(c)
			taken := func(s operator.Subscription, holder string) {
				f.Helper()
				err := operator.New(c.Queue).Subscribe(f.Context(), s)
				var subscribed *operator.SubscribedError
				if !errors.As(err, &subscribed) || subscribed.Queue != s.Queue || subscribed.Name != holder {
					f.Errorf("%s on %s: got %v, want a *SubscribedError with %s", s.Name, s.Queue, err, holder)
				}
			}
			taken(operator.Subscription{Name: "other", URL: "https://example.com", Queue: "mail"}, "mailer")
			sms.Queue = "mail"
			taken(sms, "mailer")
			if got := f.subscriptions(c); !slices.Equal(got, before) {
				f.Errorf("got %+v, want %+v", got, before)
			}
			f.must(operator.New(c.Queue).Unsubscribe(f.Context(), "mailer"))
			f.must(operator.New(c.Queue).Subscribe(f.Context(), sms))
		},
	},
	{
		"E9 of many who subscribe at once each is there, or is told why not",
		"a deployment writes its subscriptions from every host",
		func(f *fixture) {
			const clients = 4
			errs := make(chan error, clients)
			for range clients {
				c := f.open()
				go func() {
					errs <- operator.New(c.Queue).Subscribe(f.Context(), operator.Subscription{
						Name: "mailer", URL: "https://example.com", Queue: "mail",
					})
				}()
			}
			for range clients {
				if err := <-errs; err != nil {
					f.Error(err)
				}
			}
			if got := f.subscriptions(f.open()); len(got) != 1 {
				f.Errorf("got %+v, want one", got)
			}
		},
	},
	{
		"E9 subscriptions in a transaction are there if and only if it commits",
		"WithTx is the same Queue, with every operation",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			mail := operator.Subscription{Name: "mailer", URL: "https://example.com/mail", Queue: "mail"}
			f.must(operator.New(c.Queue).Subscribe(f.Context(), mail))
			for _, commit := range []bool{false, true} {
				before := f.subscriptions(c)
				bound, tx := c.begin(way)
				f.must(operator.New(bound.Queue).Subscribe(f.Context(), operator.Subscription{
					Name: "texter", URL: "https://example.com/sms", Queue: "sms",
				}))
				var subscribed *operator.SubscribedError
				if err := operator.New(bound.Queue).Subscribe(f.Context(), operator.Subscription{
					Name: "other", URL: "https://example.com", Queue: "sms",
				}); !errors.As(err, &subscribed) {
					f.Errorf("got %v, want a *SubscribedError", err)
				}
				f.must(operator.New(bound.Queue).Unsubscribe(f.Context(), "mailer"))
				if names := namesOf(f.subscriptions(bound)); !slices.Equal(names, []string{"texter"}) {
					f.Errorf("in the transaction there are %q", names)
				}
				f.end(tx, commit)
				if got := f.subscriptions(c); !commit && !slices.Equal(got, before) ||
					commit && !slices.Equal(namesOf(got), []string{"texter"}) {
					f.Errorf("commit %v: got %+v", commit, got)
				}
			}
		}),
	},
}

func (f *fixture) subscriptions(c *client) []operator.Subscription {
	f.Helper()
	got, err := operator.New(c.Queue).Subscriptions(f.Context())
	f.must(err)
	return got
}

func namesOf(subscriptions []operator.Subscription) []string {
	var names []string
	for _, s := range subscriptions {
		names = append(names, s.Name)
	}
	return names
}
