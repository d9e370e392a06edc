# Ruby: threads, fork, pipes, a unix socket pair.
ruby -rsocket -e '
a, b = UNIXSocket.pair
pid = fork { b.puts "from a child"; exit! 7 }
puts a.gets
Process.wait pid
puts $?.exitstatus, 4.times.map { |n| Thread.new { n * n } }.map(&:value).sum, RUBY_ENGINE'
