# Ruby's stomp gem against the shipped binary, whose STOMP port is in HOLDFAST_PORT.
#
# Each check has a name that says what it shows, queues of its own, and CHECK_SECONDS_MAX. Frames are confirmed by receipts, never by the passing of time.

require "digest"
require "stomp"
require "timeout"

CHECK_SECONDS_MAX = 15

# One connection, of STOMP 1.2 unless told otherwise.
class Client
  def initialize(version: "1.2", headers: {})
    @connection = Stomp::Connection.new(
      hosts: [{ login: "user", passcode: "password", host: "127.0.0.1", port: Integer(ENV.fetch("HOLDFAST_PORT")) }],
      connect_headers: { "accept-version" => version, "host" => "localhost" }.merge(headers),
      reliable: false
    )
    @names = 0
    @messages = []
  end

  attr_reader :connection

  # Runs the block with the name of a new receipt, and waits for that.
  def confirmed
    name = "r#{@names += 1}"
    yield name
    loop do
      frame = @connection.receive
      raise frame.headers["message"] if frame.command == "ERROR"
      return if frame.command == "RECEIPT" && frame.headers["receipt-id"] == name

      @messages << frame
    end
  end

  def send(destination, body, headers = {})
    confirmed { |receipt| @connection.publish(destination, body, { "persistent" => "true", "receipt" => receipt }.merge(headers)) }
  end

  def subscribe(destination, headers = {}, id = "1")
    confirmed { |receipt| @connection.subscribe(destination, { "id" => id, "receipt" => receipt }.merge(headers)) }
  end

  def unsubscribe(destination, id = "1", headers = {})
    confirmed { |receipt| @connection.unsubscribe(destination, { "id" => id, "receipt" => receipt }.merge(headers)) }
  end

  def message
    frame = @messages.shift || @connection.receive
    raise frame.headers["message"] if frame.command == "ERROR"

    frame
  end

  def ack(frame, headers = {})
    confirmed { |receipt| @connection.ack(frame.headers["ack"], { "receipt" => receipt, "id" => frame.headers["ack"] }.merge(headers)) }
  end

  def nack(frame)
    confirmed { |receipt| @connection.nack(frame.headers["ack"], { "receipt" => receipt, "id" => frame.headers["ack"] }) }
  end

  def browse(destination, headers = {})
    subscribe(destination, { "browser" => "true" }.merge(headers), "browser")
    bodies = []
    while (frame = message).headers["browser"] != "end"
      bodies << frame.body
    end
    unsubscribe(destination, "browser")
    bodies
  end

  def close
    @connection.disconnect("receipt" => "bye")
  end
end

def same(expected, actual)
  raise "expected #{expected.inspect}, got #{actual.inspect}" unless expected == actual
end

CHECKS = {
  "each version of the protocol sends and receives" => lambda {
    %w[1.0 1.1 1.2].each do |version|
      client = Client.new(version: version)
      same(version, client.connection.connection_frame.headers.fetch("version", "1.0"))
      client.subscribe("/queue/ruby.#{version}")
      client.send("/queue/ruby.#{version}", "over #{version}")
      same("over #{version}", client.message.body)
      client.close
    end
  },

  "bodies with NUL bytes, large bodies and odd headers survive" => lambda {
    client = Client.new
    client.subscribe("/queue/ruby.bodies")
    bodies = ["\0a\0\n".b, Random.new(5).bytes(5 * 1024 * 1024)]
    bodies.each { |body| client.send("/queue/ruby.bodies", body, "odd" => "a:b\nc\\d\r") }
    bodies.each do |body|
      frame = client.message
      same(Digest::SHA256.digest(body), Digest::SHA256.digest(frame.body.b))
      same("a:b\nc\\d\r", frame.headers["odd"])
    end
    client.close
  },

  "what is not acknowledged comes again, marked; what is rejected goes to the dead letter queue" => lambda {
    client = Client.new
    3.times { |number| client.send("/queue/ruby.acknowledged", number.to_s, "check" => "ruby") }
    holder = Client.new
    holder.subscribe("/queue/ruby.acknowledged", "ack" => "client-individual")
    frames = Array.new(3) { holder.message }
    holder.ack(frames[0])
    holder.nack(frames[1])
    holder.close
    same(["1"], client.browse("/queue/ActiveMQ.DLQ", "selector" => "check = 'ruby'"))
    client.subscribe("/queue/ruby.acknowledged", "ack" => "client-individual")
    frame = client.message
    same(%w[2 true], [frame.body, frame.headers["redelivered"]])
    client.ack(frame)
    client.close
  },

  "a transaction takes place wholly or not at all" => lambda {
    client = Client.new
    %w[kept dropped].each do |name|
      client.connection.begin(name)
      %w[a b].each { |queue| client.send("/queue/ruby.transaction.#{queue}", name, "transaction" => name) }
    end
    client.confirmed { |receipt| client.connection.commit("kept", "receipt" => receipt) }
    client.confirmed { |receipt| client.connection.abort("dropped", "receipt" => receipt) }
    %w[a b].each { |queue| same(["kept"], client.browse("/queue/ruby.transaction.#{queue}")) }
    client.close
  },

  "a durable subscription keeps what comes while it is offline" => lambda {
    who = { "client-id" => "ruby" }
    client = Client.new(headers: who)
    client.subscribe("/topic/ruby.durable", "activemq.subscriptionName" => "news")
    client.close
    publisher = Client.new
    publisher.send("/topic/ruby.durable", "offline")
    publisher.close
    client = Client.new(headers: who)
    client.subscribe("/topic/ruby.durable", "activemq.subscriptionName" => "news")
    same("offline", client.message.body)
    client.close
  }
}.freeze

passed = failed = 0
CHECKS.each do |name, check|
  begun = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  problem = nil
  begin
    Timeout.timeout(CHECK_SECONDS_MAX) { check.call }
    passed += 1
  rescue StandardError, Timeout::Error => e
    problem = e
    failed += 1
  end
  milliseconds = ((Process.clock_gettime(Process::CLOCK_MONOTONIC) - begun) * 1000).round
  puts format("%s %6d ms  %s", problem ? "FAILED" : "ok    ", milliseconds, name)
  puts problem.full_message(highlight: false) if problem
end
puts "ruby: #{passed} passed, #{failed} failed"
exit(failed.zero? && passed.positive?)
