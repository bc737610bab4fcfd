package operator

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/rule"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Subscription sends the jobs of a queue to a URL.
type Subscription struct {
	Name      string    `json:"name"` // of the subscription
	URL       string    `json:"url"`  // may have a password in it
	Queue     string    `json:"queue"`
	Secret    string    `json:"-"` // signs what is sent; empty: nothing is signed
	CreatedAt time.Time `json:"created_at,omitzero"`
}

// Subscribe writes a subscription, in place of the one of its name if there is one, whose CreatedAt stays. Its queue must have no
// other: a *SubscribedError. It takes effect within seconds.
func (o *Operator) Subscribe(ctx context.Context, s Subscription) error {
	t, err := o.open(ctx)
	if err == nil {
		err = s.check()
	}
	if err == nil {
		err = t.subscribe(ctx, s)
	}
	return wrap("subscribe", err)
}

// check says what is wrong with a subscription. Its errors do not show the URL, which may have a password in it.
func (s *Subscription) check() error {
	const says = "a subscription's name has 1 to 191 characters, no comma and no space at either end"
	if err := rule.Name("subscription's name", s.Name, says); err != nil {
		return err
	}
	if err := sqlqueue.CheckQueueName(s.Queue); err != nil {
		return err
	}
	parsed, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return errors.New("the URL is malformed: use https://host/path")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return fmt.Errorf("the URL's scheme is %q: use http or https", parsed.Scheme)
	case parsed.Host == "" || strings.ContainsRune(s.URL, 0):
		return errors.New("the URL has no host: use https://host/path")
	}
	return nil
}

// Unsubscribe deletes a subscription, or returns ErrNoSubscription.
func (o *Operator) Unsubscribe(ctx context.Context, name string) error {
	t, err := o.open(ctx)
	if err != nil {
		return wrap("unsubscribe", err)
	}
	found, err := t.unsubscribe(ctx, name)
	if err == nil && !found {
		err = fmt.Errorf("%q: %w", name, ErrNoSubscription)
	}
	return wrap("unsubscribe", err)
}

// Subscriptions returns the subscriptions, by name.
func (o *Operator) Subscriptions(ctx context.Context) ([]Subscription, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("subscriptions", err)
	}
	found, err := t.subscriptions(ctx)
	return found, wrap("subscriptions", err)
}

// Subscription returns the subscription of a name, or ErrNoSubscription.
func (o *Operator) Subscription(ctx context.Context, name string) (Subscription, error) {
	all, err := o.Subscriptions(ctx)
	if err != nil {
		return Subscription{}, err
	}
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
	}
	return Subscription{}, wrap("subscription", fmt.Errorf("%q: %w", name, ErrNoSubscription))
}

// subscriptions returns all subscriptions, by name.
func (t *tables) subscriptions(ctx context.Context) ([]Subscription, error) {
	s := t.statement("SELECT name, url, queue, secret, %s FROM %s ORDER BY name",
		fmt.Sprintf(t.Dialect.Micros, "created_at"), t.Table("job_subscriptions"))
	var found []Subscription
	err := s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var of Subscription
		err := scan(sqldb.Reading(&of.Name, &of.URL, &of.Queue, &of.Secret, &of.CreatedAt)...)
		found = append(found, of)
		return err
	})
	return found, err
}

// subscribe writes a subscription. The row is inserted first, so that it is locked while the queue of the other is checked.
func (t *tables) subscribe(ctx context.Context, of Subscription) error {
	return t.Tx(ctx, change{"subscribe", of.Queue, map[string]any{"name": of.Name}}, func(db sqldb.DB) (int, error) {
		s := t.statement("INSERT INTO %s (name, url, queue, secret, created_at) VALUES ", t.Table("job_subscriptions"))
		s.Add("(%s, %s, %s, %s, ", s.Arg(of.Name), s.Arg(of.URL), s.Arg(of.Queue), s.Arg(of.Secret))
		s.Add("%s)%s", s.Now(), t.Dialect.OnConflict)
		if _, err := s.Exec(ctx, db); err != nil {
			return 0, err
		}

		other := ""
		s = t.statement("SELECT name FROM %s", t.Table("job_subscriptions"))
		s.Add(" WHERE queue = %s %s", s.Arg(of.Queue), t.Dialect.ForUpdate)
		if err := s.Each(ctx, db, func(scan func(...any) error) error { return scan(&other) }); err != nil {
			return 0, err
		}
		if other != "" && other != of.Name {
			return 0, &SubscribedError{Queue: of.Queue, Name: other}
		}

		s = t.statement("UPDATE %s SET", t.Table("job_subscriptions"))
		s.Add(" url = %s, queue = %s, secret = %s", s.Arg(of.URL), s.Arg(of.Queue), s.Arg(of.Secret))
		s.Add(" WHERE name = %s", s.Arg(of.Name))
		_, err := s.Exec(ctx, db)
		return 1, err
	})
}

// unsubscribe deletes a subscription, and reports whether it was there.
func (t *tables) unsubscribe(ctx context.Context, name string) (found bool, err error) {
	err = t.Tx(ctx, change{"unsubscribe", "", map[string]any{"name": name}}, func(db sqldb.DB) (int, error) {
		s := t.statement("DELETE FROM %s", t.Table("job_subscriptions"))
		s.Add(" WHERE name = %s", s.Arg(name))
		n, err := s.Exec(ctx, db)
		if found = n > 0; found || err != nil {
			return int(n), err
		}
		// A name that is not valid UTF-8 is not the one that lists show.
		var raw []string
		s = t.statement("SELECT name FROM %s", t.Table("job_subscriptions"))
		if err := s.Each(ctx, db, func(scan func(...any) error) error {
			var written string
			err := scan(&written)
			if strings.ToValidUTF8(written, "\uFFFD") == name && written != name {
				raw = append(raw, written)
			}
			return err
		}); err != nil {
			return 0, err
		}
		for _, written := range raw {
			s := t.statement("DELETE FROM %s", t.Table("job_subscriptions"))
			s.Add(" WHERE name = %s", s.Arg(written))
			if _, err := s.Exec(ctx, db); err != nil {
				return 0, err
			}
			found = true
		}
		return len(raw), nil
	})
	return found, err
}
