resource "aws_cloudwatch_event_rule" "failures" {
  name        = var.event_rule_name
  description = "Step Functions executions that failed, timed out or were aborted"
  tags        = local.tags

  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = merge(
      { status = ["FAILED", "TIMED_OUT", "ABORTED"] },
      # An empty list would match nothing.
      length(var.step_function_arns) == 0 ? {} : { stateMachineArn = var.step_function_arns },
    )
  })
}

resource "aws_cloudwatch_event_target" "queue" {
  rule      = aws_cloudwatch_event_rule.failures.name
  target_id = "queue"
  arn       = aws_sqs_queue.queue.arn

  dead_letter_config {
    arn = aws_sqs_queue.target_dead_letter.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  # A rule that delivers before it may fills its dead-letter queue at once.
  depends_on = [aws_sqs_queue_policy.queue, aws_sqs_queue_policy.target_dead_letter]
}
