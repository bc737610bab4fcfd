# frozen_string_literal: true

Gem::Specification.new do |s|
  s.name = "sqlqueue"
  s.version = "0.1.0"
  s.summary = "Push jobs to sqlqueue in your own transaction, and run them"
  s.authors = ["The sqlqueue authors"]
  s.license = "MIT"
  s.required_ruby_version = ">= 3.0"
  s.files = ["lib/sqlqueue.rb", "README.md"]
end
