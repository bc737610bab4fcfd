package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Subscribe writes a subscription, in place of the one of its name if there is one, whose CreatedAt stays. Its queue must have no
// other: a *SubscribedError. Workers that deliver to subscriptions heed it within seconds.
func (q *Queue) Subscribe(ctx context.Context, s Subscription) error {
	store, err := q.open(ctx)
	if err == nil {
		err = s.check()
	}
	if err == nil {
		err = store.Subscribe(ctx, s)
	}
	return wrap("subscribe", err)
}

// check says what is wrong with a subscription. Its errors do not show the URL, which may have a password in it.
func (s *Subscription) check() error {
	const rule = "a subscription's name has 1 to 191 characters, no comma and no space at either end"
	if err := checkName("subscription's name", s.Name, rule); err != nil {
		return err
	}
	if err := CheckQueueName(s.Queue); err != nil {
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
func (q *Queue) Unsubscribe(ctx context.Context, name string) error {
	store, err := q.open(ctx)
	if err != nil {
		return wrap("unsubscribe", err)
	}
	found, err := store.Unsubscribe(ctx, name)
	if err == nil && !found {
		err = fmt.Errorf("%q: %w", name, ErrNoSubscription)
	}
	return wrap("unsubscribe", err)
}

// Subscriptions returns the subscriptions, by name.
func (q *Queue) Subscriptions(ctx context.Context) ([]Subscription, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, wrap("subscriptions", err)
	}
	found, err := store.Subscriptions(ctx)
	return found, wrap("subscriptions", err)
}
