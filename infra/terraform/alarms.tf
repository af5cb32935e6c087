# SQS reports nothing of a queue that nobody used for six hours, and EventBridge reports failures only where
# some happen: missing data is good news, hence "notBreaching". The alarm on a worker that is gone is the
# exception: a worker polls every ten seconds, so that no data means no worker.

locals {
  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]

  dead_letter_queues = {
    dead-letters        = { name = aws_sqs_queue.dead_letter.name, what = "messages that misstep could not deal with: misstep dlq list" }
    target-dead-letters = { name = aws_sqs_queue.target_dead_letter.name, what = "events that EventBridge could not put into the queue" }
  }

  failed_deliveries = {
    failed-invocations = { metric = "FailedInvocations", what = "EventBridge could not put events into the queue" }
    lost-events        = { metric = "InvocationsFailedToBeSentToDlq", what = "events are lost: not even the dead-letter queue took them" }
  }
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each = local.dead_letter_queues

  alarm_name          = "${var.event_rule_name}-${each.key}"
  alarm_description   = each.value.what
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags

  # Whoever looks into a queue hides its messages for a while, which does not settle them.
  metric_query {
    id          = "waiting"
    expression  = "visible + hidden"
    label       = "Messages"
    return_data = true
  }

  metric_query {
    id = "visible"

    metric {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = each.value.name }
      stat        = "Maximum"
      period      = 60
    }
  }

  metric_query {
    id = "hidden"

    metric {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesNotVisible"
      dimensions  = { QueueName = each.value.name }
      stat        = "Maximum"
      period      = 60
    }
  }
}

# Nothing fails for days, and the worker is gone: without this alarm the next failure is the first to show it.
resource "aws_cloudwatch_metric_alarm" "no_worker" {
  alarm_name          = "${var.event_rule_name}-no-worker"
  alarm_description   = "no worker has polled the queue for 10 minutes: is one running, or is a breaker open?"
  evaluation_periods  = 10
  datapoints_to_alarm = 10
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags

  metric_query {
    id          = "polls"
    expression  = "FILL(empty, 0) + FILL(received, 0)"
    label       = "Polls that were answered, and messages"
    return_data = true
  }

  metric_query {
    id = "empty"

    metric {
      namespace   = "AWS/SQS"
      metric_name = "NumberOfEmptyReceives"
      dimensions  = { QueueName = aws_sqs_queue.queue.name }
      stat        = "Sum"
      period      = 60
    }
  }

  metric_query {
    id = "received"

    metric {
      namespace   = "AWS/SQS"
      metric_name = "NumberOfMessagesReceived"
      dimensions  = { QueueName = aws_sqs_queue.queue.name }
      stat        = "Sum"
      period      = 60
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  alarm_name          = "${var.event_rule_name}-oldest-message"
  alarm_description   = "failures wait to be told: is the worker running, and the notification API?"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.queue.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.oldest_message_alarm_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "failed_deliveries" {
  for_each = local.failed_deliveries

  alarm_name          = "${var.event_rule_name}-${each.key}"
  alarm_description   = each.value.what
  namespace           = "AWS/Events"
  metric_name         = each.value.metric
  dimensions          = { RuleName = aws_cloudwatch_event_rule.failures.name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}
